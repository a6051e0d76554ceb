"""Units of band centres as files write them: lengths in nm, and what is no length."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_NM = 100.0
GREATEST_NM = 20_000.0
"""Between these, in nm, lie the band centres of imaging spectrometers."""

LENGTHS = {
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 1.0),
    **dict.fromkeys(("um", "μm", "mum", "micrometer", "micrometre", "micron"), 1e3),
    **dict.fromkeys(("micrometers", "micrometres", "microns", "mkm"), 1e3),
    **dict.fromkeys(("a", "å", "ang", "angstrom", "angstroms", "ångström", "angstroem"), 0.1),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 1e7),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e9),
}
"""Nanometres in a unit, by its name in lower case."""

IN_NAMES = {
    name: factor
    for name, factor in LENGTHS.items()
    if name == "å" or (len(name) > 1 and name not in ("mm", "cm"))
}
"""Units that are recognised as a part of a name, such as ``wavelength_nm``."""

IN_BRACKETS = re.compile(r"[\[(]([^\])]*)[\])]")
ANGSTROMS = re.compile(r"[\s_]A$")
"""A unit at the end of a name: ``wavelength_A``, but no camera a."""

TRIED = {"nanometres": 1.0, "micrometres": 1e3, "ångströms": 0.1, "metres": 1e9}
"""The units that are tried, in this order, where none is stated or the stated one does not fit."""

UNSTATED = ("", "unknown", "none", "undefined", "unitless", "n/a", "na", "-", "1")

WAVE_NUMBER = re.compile(
    r"wave\s*-?_?numbers?|kaysers?|(?<![a-z])c?m\s*\^?\s*\{?\s*[-\u2212]\s*1|1\s*/\s*c?m\b"
)
NO_LENGTHS = {
    "index": "band numbers",
    "indices": "band numbers",
    "band": "band numbers",
    "bands": "band numbers",
    "ghz": "frequencies",
    "mhz": "frequencies",
    "thz": "frequencies",
    "hz": "frequencies",
    "ev": "energies",
}
"""What numbers in a unit are that is no length."""


class Unit(NamedTuple):
    """The meaning of a unit.

    Args:
        factor: Nanometres in the unit; None where it is not stated, not known or no length.
        kind: What the numbers are where they are no lengths, such as ``wave numbers``.
        known: False where it is stated and not known.
    """

    factor: float | None = None
    kind: str = ""
    known: bool = True


def unit_of(text: str) -> Unit:
    """The unit behind a text such as ``Nanometers (nm)``, ``[um]`` or ``cm-1``."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    if plain in UNSTATED:
        return Unit()
    if WAVE_NUMBER.search(plain):
        return Unit(kind="wave numbers")
    words = _words(plain)
    for word in words:
        if word in NO_LENGTHS:
            return Unit(kind=NO_LENGTHS[word])
    for word in words:
        if word in LENGTHS:
            return Unit(LENGTHS[word])
    return Unit(known=False)


def unit_in_name(name: str) -> str:
    """The unit that is a part of a name, such as ``nm`` of ``center_nm``; empty where none is."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    if WAVE_NUMBER.search(plain):
        return "cm-1"
    bracketed = IN_BRACKETS.search(plain)
    if bracketed is not None and unit_of(bracketed[1]).factor is not None:
        return bracketed[1]
    if ANGSTROMS.search(name):
        return "å"
    for word in reversed(_words(plain)):
        if word in IN_NAMES:
            return word
    return ""


def fits(nm: NDArray[np.float64]) -> bool:
    """Whether lengths in nm may be band centres."""
    return bool((nm >= LEAST_NM).all() and (nm <= GREATEST_NM).all())


def zero_flags(flags: NDArray[np.float64] | None) -> NDArray[np.bool_] | None:
    """The bad bands, bool (C,), of a list of flags (0: bad), or None where a file has none."""
    if flags is None:
        return None
    bad: NDArray[np.bool_] = flags == 0
    return bad


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)
