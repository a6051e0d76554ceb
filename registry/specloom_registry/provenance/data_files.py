"""The files that a run was given: sizes and hashes for its record, bounded and fast.

A file is hashed whole up to 256 MB; of a larger one the size, the time and the hash of its two
ends stand for it. A folder has one hash of its files, of which as many are read whole as fit into
256 MB together. What changes only in the middle of a large file is seen by its time alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specloom_registry.store import tree

WHOLE = 256 << 20  # bytes that are read whole
END = 1 << 20
MOST_FILES = 10_000
MOST_BESIDE = 16
LONGEST = 4096


def described(document: Any, base: Path) -> list[dict[str, Any]]:
    """The files and folders that a run file names, each with ``used_by``, its place there.

    Of ``data``, also what lies beside a file under the same name: an ENVI header's cube, a mask.

    Args:
        document: What the run file holds.
        base: The folder that relative paths are of.
    """
    found = []
    for key, text, is_data in _named(document):
        place = base / text
        try:
            if place.is_file():
                found += [
                    describe(one, str(Path(text).with_name(one.name)), key)
                    for one in (_beside(place) if is_data else [place])
                ]
            elif place.is_dir() and is_data:
                found.append(describe(place, text, key))
        except (OSError, ValueError):
            continue  # no path, or one that may not be read: the run will say so
    return found


def describe(place: Path, path: str, used_by: str) -> dict[str, Any]:
    """One file's or folder's line in the record; ``path`` is as the run file has it.

    Raises:
        OSError: It cannot be read.
    """
    line: dict[str, Any] = {"used_by": used_by, "path": path}
    if place.is_dir():
        return {**line, **_folder(place)}
    about = place.stat()
    line["size"] = about.st_size
    if about.st_size <= WHOLE:
        return {**line, "sha256": _digest(place)}
    return {**line, "mtime": about.st_mtime_ns, "ends_sha256": _ends(place, about.st_size)}


def _named(document: Any) -> Iterator[tuple[str, str, bool]]:
    """Each text among the parameters of a run file, with its place, and whether it is of data."""
    if not isinstance(document, Mapping):
        return
    for key in ("data", "nodes", "phases"):
        for place, text in _texts(document.get(key), key):
            if ".config" in place and text and len(text) <= LONGEST:
                yield place, text, key == "data"


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{i}]")


def _beside(place: Path) -> list[Path]:
    """A file and, after it, those of the same name but for the ending."""
    names = {place.stem, place.name}
    others = sorted(
        one
        for one in place.parent.iterdir()
        if one != place and ({one.stem, one.name} & names) and one.is_file()
    )
    return [place, *others[:MOST_BESIDE]]


def _folder(folder: Path) -> dict[str, Any]:
    places = list[Path]()
    for above, folders, names in os.walk(folder):
        folders.sort()
        places += [Path(above, name) for name in sorted(names)]
        if len(places) > MOST_FILES:
            return {"unread": f"more than {MOST_FILES} files"}
    total, left, hashes, key = 0, WHOLE, dict[str, str](), "tree"
    for place in places:
        if not place.is_file():
            continue
        size = place.stat().st_size
        total += size
        if size <= left:
            left -= size
            one = _digest(place)
        else:
            key, one = "ends_tree", f"{size} {_ends(place, size)}"
        hashes[place.relative_to(folder).as_posix()] = one
    return {"files": len(hashes), "size": total, key: tree.tree_hash(hashes)}


def _digest(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ends(place: Path, size: int) -> str:
    with place.open("rb") as file:
        found = hashlib.sha256(file.read(END))
        file.seek(max(size - END, END))
        found.update(file.read(END))
    return found.hexdigest()
