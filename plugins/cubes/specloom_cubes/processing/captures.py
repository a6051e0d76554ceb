"""The references of a capture, found by the layouts of the makers' folders.

Layouts, as published code that reads such folders has them:

- Specim: ``capture/DARKREF_<name>.hdr`` and ``capture/WHITEREF_<name>.hdr`` beside
  ``capture/<name>.hdr``; exposure ``tint`` in the headers (hyperpy; specim_calibration of NTNU).
- Headwall: ``darkReference`` and ``whiteReference`` beside ``raw`` (the HELICoiD data set), or
  ``<name>_darkReference`` and ``<name>_whiteReference`` (PlantCV).
- Resonon: ``.bil`` with ``.bil.hdr``; exposure ``shutter``, ``bit depth`` in the headers
  (files that Spectronon saves). Its references have no fixed names: cubes named after dark or
  white in the folder or in the one above it.
- HySpex: the dark is in the binary header of each ``.hyspex`` file (HySpex's own reader); the
  white reference is another such file named after white in the folder or in the one above it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from specloom import DataError
from specloom_cubes.listings import Listing, listing_of
from specloom_cubes.processing.hyspex import is_hyspex

DATA_SUFFIXES = (".raw", ".img", ".dat", ".bil", ".bip", ".bsq", ".hyspex")
"""Endings that a header's name may have before ``.hdr``, or that stand for the data file."""

OF_A_REFERENCE = (
    "avg|average|board|cal|calibration|current|frame|image|img|mean|median|noise|panel|plate|raw|"
    "scan|spectralon|standard|target|tile"
)
"""What may follow ``white`` or ``dark`` in the name of a reference, besides ``ref`` and numbers."""

SHARED = re.compile(
    rf"""^(?:.*[ ._-])?
    (?P<word>white|dark)
    (?:
        [ ._-]? ref(?:erence)?s? (?:[ ._-].*)?
        | [ ._-]? (?:current|frame|panel)s?
    )?
    \d*
    (?:[ ._-]+ (?:(?:{OF_A_REFERENCE})s?\d* | \d\w*))*
    $""",
    re.IGNORECASE | re.VERBOSE,
)
"""The name of a reference for all cubes of a folder, such as ``dark.bil`` or ``whiteReference``.

``white`` and ``dark`` are words of it, followed by nothing but words of a reference and numbers
such as a date or an exposure: ``dark_chocolate`` is what was measured.
"""


class References(NamedTuple):
    """The references of one cube.

    Args:
        layout: Whose layout the folder has: ``Specim``, ``Headwall``, ``Resonon`` or ``HySpex``.
        white: The header of the white reference.
        dark: The header of the dark; None where it is in the cube's own file.
    """

    layout: str
    white: Path | None
    dark: Path | None


def find_references(data: Path, wanted: Sequence[str] = ("white", "dark")) -> References:
    """The references of a cube in the folder of a capture.

    Args:
        data: The data file of the cube.
        wanted: Which are looked for: ``white``, ``dark``.

    Raises:
        DataError: There are none, or several that may be meant.
    """
    name = _plain_name(data)
    headers = _headers_of(listing_of(data.parent))
    for layout, white, dark in (
        ("Specim", f"WHITEREF_{name}", f"DARKREF_{name}"),
        ("Headwall", f"{name}_whiteReference", f"{name}_darkReference"),
        ("Headwall", "whiteReference", "darkReference"),
    ):
        found = References(layout, headers.named(white), headers.named(dark))
        if all(getattr(found, word) is not None for word in wanted):
            return found
    return _shared(data, headers, wanted)


def is_named_as_reference(path: Path) -> bool:
    """Whether the name of a cube that is to be calibrated is that of a reference of others."""
    return _word(path) != ""


def _shared(data: Path, headers: _Headers, wanted: Sequence[str]) -> References:
    """The references that all cubes of a folder share, in it or in the one above it."""
    kind = _kind_of(data)
    words = [word for word in wanted if word == "white" or kind != "HySpex"]
    above = data.absolute().parent.parent
    folders = [headers, _headers_of(listing_of(above))]
    found: dict[str, Path] = {}
    for word in words:
        for listed in folders:
            named = listed.by_word.get(word, [])
            if len(named) > 1:
                raise DataError(
                    f"{data.name} has several {word} references: "
                    f"{', '.join(path.name for path in named)}",
                    fix=f"name one of them: calibration: {{{word}: {named[0].name}}}",
                )
            if named:
                found[word] = named[0]
                break
    missing = [word for word in words if word not in found]
    if not missing:
        return References(kind, found.get("white"), found.get("dark"))
    name = _plain_name(data)
    first = missing[0]
    raise DataError(
        f"the folder of {data} has no {' and no '.join(missing)} reference of a capture: neither "
        f"{first.upper()}REF_{name} (Specim), {first}Reference (Headwall), nor a cube named after "
        f"{' or '.join(missing)}",
        fix="name the files: calibration: {white: FILE, dark: FILE}",
    )


def _kind_of(data: Path) -> str:
    if data.suffix.lower() == ".hyspex" or is_hyspex(data):
        return "HySpex"
    if data.suffix.lower() == ".bil":
        return "Resonon"
    return "Headwall" if data.suffix == "" else "Specim"


def _word(header: Path) -> str:
    found = SHARED.match(_plain_name(header))
    return "" if found is None else found["word"].lower()


class _Headers:
    """The headers of a folder, by what their names say.

    Args:
        paths: The headers, sorted.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.by_name: dict[str, Path] = {}
        self.by_word: dict[str, list[Path]] = {}
        for path in paths:
            self.by_name.setdefault(_plain_name(path).lower(), path)
            self.by_word.setdefault(_word(path), []).append(path)

    def named(self, name: str) -> Path | None:
        """The header of a name, in any case."""
        return self.by_name.get(name.lower())


@lru_cache(maxsize=16)
def _headers_of(listing: Listing) -> _Headers:
    """The headers of a folder, which are looked at once as long as the folder does not change."""
    return _Headers([path for path in listing.paths if _is_header(path)])


def _is_header(path: Path) -> bool:
    is_hidden = path.name.startswith(".")
    return path.suffix.lower() == ".hdr" and not is_hidden and path.is_file()


def _plain_name(path: Path) -> str:
    """The name of a data file or a header, without the endings of both."""
    name = path.name
    if name.lower().endswith(".hdr"):
        name = name[:-4]
    suffix = Path(name).suffix.lower()
    return name[: -len(suffix)] if suffix in DATA_SUFFIXES else name
