"""Whether the parts of a MATLAB file fit into each other, before scipy reads them.

scipy (1.17.1) ends the process with a segmentation fault where a struct has a name of 2 GB or a
field of an unknown type, or a matrix of version 4 a negative number of rows; so types and sizes are
checked before it reads such variables.
"""

from __future__ import annotations

import struct
from math import prod
from typing import BinaryIO

MATRIX = 14
CELL = 1
STRUCT = 2
OBJECT = 3
SPARSE = 5
FUNCTION = 16
OPAQUE = 17
CLASS = 0xFF
COMPLEX = 0x0800
"""Parts of the flags of an array."""

NUMBERS = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
TEXTS = frozenset((16, 17, 18))
"""Numbers of the types of parts that hold numbers, or text."""

DEEPEST = 100
"""Structs within structs that are read."""

HEAD_OF_4 = 20
"""Bytes of the header of a matrix of version 4: type, rows, columns, is complex, length of name."""

BYTES_OF_4 = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}
"""Bytes of a number in version 4 by the tens of its type."""

LONGEST_NAME = 4096


def check_element(data: memoryview, order: str) -> None:
    """Accept the one element of a file of version 5 to 7 whose parts fit into it.

    Args:
        data: The element with its tag.
        order: The byte order, ``<`` or ``>``.

    Raises:
        ValueError: A part is longer than what holds it.
    """
    _Walk(data, order).matrix(0, len(data), 0)


class _Walk:
    """A walk through an element and those within it."""

    def __init__(self, data: memoryview, order: str) -> None:
        self.data = data
        self.order = order

    def matrix(self, at: int, end: int, depth: int) -> int:
        """Where the element ends that begins at byte ``at`` and lies before ``end``."""
        kind, begin, stop = self.part(at, end)
        if kind != MATRIX:
            raise ValueError(f"an element of the type {kind} is where a matrix should be")
        if depth > DEEPEST:
            raise ValueError(f"it has more than {DEEPEST} structs within each other")
        if begin == stop:
            return stop
        _, first, last = self.part(begin, stop)
        flags = self.numbers(first, last)[0]
        at = self.padded(last, stop)
        if flags & CLASS == OPAQUE:  # an object has no shape
            for _ in range(3):
                at = self.padded(self.part(at, stop)[2], stop)
            self.matrix(at, stop, depth + 1)
            return stop
        _, first, last = self.part(at, stop)
        sizes = self.numbers(first, last)
        if min(sizes, default=-1) < 0:
            raise ValueError(f"the shape of a variable is {sizes}")
        at = self.padded(last, stop)
        at = self.padded(self.part(at, stop)[2], stop)
        self.contents(flags, prod(sizes), at, stop, depth)
        return stop

    def contents(self, flags: int, count: int, at: int, stop: int, depth: int) -> None:
        """Walk through what an array of ``count`` elements holds, from byte ``at``."""
        kind = flags & CLASS
        if kind == OBJECT:
            at = self.padded(self.part(at, stop)[2], stop)
        if kind in (STRUCT, OBJECT):
            _, first, last = self.part(at, stop)
            length = self.numbers(first, last)[0]
            _, first, at = self.part(self.padded(last, stop), stop)
            if length < 1:
                raise ValueError(f"the names of the fields of a struct have {length} bytes")
            count *= (at - first) // length
            at = self.padded(at, stop)
        if kind in (CELL, STRUCT, OBJECT):
            for _ in range(count):
                at = self.matrix(at, stop, depth + 1)
            return
        if kind == FUNCTION:
            self.matrix(at, stop, depth + 1)
            return
        parts = 1
        if kind == SPARSE:
            parts = 3  # rows, columns, values
        if flags & COMPLEX:
            parts += 1
        self.values(parts, at, stop)

    def values(self, parts: int, at: int, stop: int) -> None:
        """Walk through the parts of an array of numbers or text, of which there must be some."""
        for _ in range(parts):
            kind, _, end = self.part(at, stop)
            if kind not in NUMBERS | TEXTS:
                raise ValueError(f"the values of a variable are of the type {kind}")
            at = self.padded(end, stop)

    def part(self, at: int, end: int) -> tuple[int, int, int]:
        """The type of the part at byte ``at``, and where its bytes begin and end."""
        if at + 8 > end:
            raise ValueError("a variable ends within its header")
        kind, size = struct.unpack_from(f"{self.order}2I", self.data, at)
        begin = at + 8
        if kind >> 16:
            size = kind >> 16
            kind &= 0xFFFF
            begin = at + 4
        if begin + size > end or (begin == at + 4 and size > 4):
            raise ValueError(f"a part of a variable has {size} bytes, of which {end - begin} exist")
        return kind, begin, begin + size

    def numbers(self, first: int, last: int) -> tuple[int, ...]:
        """The whole numbers of 32 bits in a part."""
        count = (last - first) // 4
        if count == 0:
            raise ValueError("a part of a variable is empty")
        return struct.unpack_from(f"{self.order}{count}i", self.data, first)

    def padded(self, at: int, stop: int) -> int:
        """Where the next part begins: parts begin at multiples of 8 bytes."""
        return min(-(-at // 8) * 8, stop)


def check_version_4(file: BinaryIO, size: int) -> None:
    """Accept a file of version 4 whose matrices fit into it.

    Raises:
        ValueError: One does not.
    """
    while True:
        head = file.read(HEAD_OF_4)
        if not head:
            return
        if len(head) < HEAD_OF_4:
            raise ValueError("it ends within the header of a matrix")
        order = "<"
        if not 0 <= struct.unpack("<i", head[:4])[0] <= 5000:
            order = ">"
        kind, rows, columns, is_complex, name = struct.unpack(f"{order}5i", head)
        number = BYTES_OF_4.get(kind // 10 % 10)
        if number is None or min(rows, columns) < 0 or not 0 < name <= LONGEST_NAME:
            raise ValueError(f"a matrix has the type {kind}, the shape {rows} x {columns}")
        parts = 2 if is_complex else 1
        end = file.tell() + name + rows * columns * number * parts
        if end > size:
            raise ValueError(f"it has {size} bytes, a matrix ends at byte {end}")
        file.seek(end)
