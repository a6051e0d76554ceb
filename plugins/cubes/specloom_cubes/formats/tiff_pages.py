"""The pages of a TIFF file, from its directories alone; GDAL skips those that are cut off."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 256
HEIGHT = 257
KIND = 254
OFFSETS = (273, 324)
SIZES = (279, 325)
"""Numbers of tags; of offsets and sizes, those of strips and those of tiles."""

REDUCED = 1
MASK = 4
"""Bits of KIND: a smaller copy of a page, and which of its pixels show."""

TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}


@dataclass(frozen=True)
class Page:
    """One image of a file.

    Args:
        number: Its number in the file, from 1.
        height: Rows.
        width: Columns.
    """

    number: int
    height: int
    width: int


def pages(path: Path) -> list[Page]:
    """The images of a file, without smaller copies and masks of them.

    Raises:
        ValueError: It is no TIFF file, or promises more than it holds.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        found = []
        for number, tags in enumerate(_directories(file, size), start=1):
            end = _end(tags)
            if not {WIDTH, HEIGHT} <= tags.keys():
                raise ValueError(f"page {number} has no size")
            if end > size:
                raise ValueError(f"page {number} promises {end} bytes, the file holds {size}")
            if not int(tags.get(KIND, np.zeros(1))[0]) & (REDUCED | MASK):
                found.append(Page(number, int(tags[HEIGHT][0]), int(tags[WIDTH][0])))
    return found


def _directories(file: BinaryIO, size: int) -> Iterator[dict[int, NDArray[Any]]]:
    head = file.read(16).ljust(16, b"\0")
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    version = struct.unpack_from(f"{order or '<'}H", head, 2)[0]
    if not order or version not in (42, 43):
        raise ValueError("it does not begin like a TIFF file")
    big = version == 43
    step, count, entry = (8, "Q", 20) if big else (4, "I", 12)
    at = struct.unpack_from(order + count, head, 8 if big else 4)[0]
    seen = set()
    while at:
        if at in seen:
            raise ValueError("its pages are chained in a ring")
        seen.add(at)
        file.seek(at)
        width = 8 if big else 2
        (entries,) = struct.unpack(order + ("Q" if big else "H"), _take(file, width, size))
        body = _take(file, entries * entry + step, size)
        tags: dict[int, NDArray[Any]] = {}
        for first in range(0, entries * entry, entry):
            tags.update(_value(file, body[first : first + entry], order, size))
        yield tags
        at = struct.unpack(order + count, body[-step:])[0]


def _value(
    file: BinaryIO, entry: bytes, order: str, size: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """The tag's number and its values, if it is one of those above."""
    field = "Q" if len(entry) == 20 else "I"
    tag, kind, count = struct.unpack_from(f"{order}HH{field}", entry)
    if tag not in (WIDTH, HEIGHT, KIND, *OFFSETS, *SIZES) or kind not in TYPES:
        return
    dtype = np.dtype(order + TYPES[kind])
    inline = entry[-struct.calcsize(field) :]
    raw = inline[: count * dtype.itemsize]
    if count * dtype.itemsize > len(inline):
        file.seek(struct.unpack(order + field, inline)[0])
        raw = _take(file, count * dtype.itemsize, size)
    yield tag, np.frombuffer(raw, dtype)


def _end(tags: dict[int, NDArray[Any]]) -> int:
    """Where the last strip or tile of a page ends."""
    offsets = _first_of(tags, OFFSETS)
    sizes = _first_of(tags, SIZES)
    if len(offsets) != len(sizes):
        return 0
    return int((offsets.astype(np.uint64) + sizes.astype(np.uint64)).max(initial=0))


def _first_of(tags: dict[int, NDArray[Any]], numbers: tuple[int, ...]) -> NDArray[Any]:
    """The values of the first of some tags that is there; one 0 where none is."""
    for number in numbers:
        if number in tags:
            return tags[number]
    return np.zeros(1)


def _take(file: BinaryIO, count: int, size: int) -> bytes:
    at = file.tell()
    if at + count > size:
        raise ValueError(f"a page begins at byte {at}, the file holds {size}")
    return file.read(count)
