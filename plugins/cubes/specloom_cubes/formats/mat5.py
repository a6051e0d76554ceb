"""MATLAB files up to version 7: what they hold, from their headers, and one variable of them.

scipy reads the variables. Their headers are read here: ``scipy.io.whosmat`` takes 1.3 s and 257 MiB
for a file of 243 kB (250 million zeros, compressed), the walk below 0.2 ms and 4 KiB; and whosmat
names the class of a variable alone, neither the type in which ``loadmat`` gives its values nor
whether they are complex, which would take ``loadmat`` itself: 0.7 s for a file of 55 MB.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import scipy.io

from specloom import DataError
from specloom_cubes.formats.mat5_check import check_element, check_version_4
from specloom_cubes.formats.stored import Stamp, stamp_of
from specloom_cubes.formats.variable import Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = {
    1: "cell",
    2: "struct",
    3: "object of a MATLAB class",
    4: "char",
    5: "sparse",
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
    16: "function",
    17: "object of a MATLAB class",
}
"""The classes of variables by their numbers."""

STRUCT = 2
OPAQUE = 17
NUMBERS = range(6, 16)
"""Numbers of classes: structs, objects, and arrays of numbers."""

STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""The types in which values are stored, by their numbers."""

COMPRESSED = 15
MATRIX = 14
"""Numbers of elements of a file."""

COMPLEX = 0x0800
LOGICAL = 0x0200
CLASS = 0xFF
"""Parts of the flags of an array."""

HEAD = 128
"""Bytes before the first element of a file."""

PRELUDE = 4096
"""Bytes that surely hold a variable's flags, dimensions, name, and the tag of its data."""

Part: TypeAlias = tuple[int, bytes]
"""The number of a type, and bytes."""


@dataclass(frozen=True)
class Header:
    """What a file says of a variable before its values.

    Args:
        name: Its name.
        shape: Its shape.
        flags: Its class and flags.
        stored: The number of the type in which its values are stored.
    """

    name: str
    shape: tuple[int, ...]
    flags: int
    stored: int

    @property
    def is_struct(self) -> bool:
        """Whether it is a struct with one element."""
        return self.flags & CLASS == STRUCT and prod(self.shape) == 1

    def variable(self) -> Variable:
        """The variable that it describes."""
        kind = self.flags & CLASS
        if kind not in NUMBERS:
            return Variable(self.name, self.shape, None, CLASSES.get(kind, "not numeric"))
        if self.flags & LOGICAL:
            return Variable(self.name, self.shape, np.dtype(bool))
        if self.flags & COMPLEX:
            return Variable(self.name, self.shape, None, "complex")
        # MATLAB stores doubles as the smallest type that holds them, which is what scipy gives.
        return Variable(self.name, self.shape, np.dtype(STORED[self.stored]))


def variables(path: Path) -> list[Variable]:
    """The variables of a file, in its order, without their values.

    The fields of a struct follow it, as ``hcube/DataCube``; scipy reads the struct for them.

    Raises:
        DataError: The file is damaged.
    """
    return list(_variables(path, _stamp(path)))


def load(path: Path, name: str) -> NDArray[Any]:
    """One variable or field of a struct, as it is stored, read-only.

    Raises:
        DataError: The file is damaged, or the variable is complex.
    """
    first, *fields = name.split("/")
    value = _load(path, first)
    for field in fields:
        value = value[0, 0][field]
    if value.dtype.kind == "c":  # headers of version 4 do not say so
        raise DataError(f"{path}: {name} is complex", fix="save the magnitude or the real part")
    value.flags.writeable = False
    return value


@lru_cache(maxsize=64)
def _variables(path: Path, stamp: Stamp) -> tuple[Variable, ...]:
    """What a file holds whose size and time are ``stamp``."""
    try:
        headers = _headers(path, stamp[0])
        if headers is None:
            return tuple(_of_version_4(path))
        arrays = []
        for header in headers:
            arrays.append(header.variable())
            if header.is_struct:
                arrays.extend(_fields(header.name, _load(path, header.name)))
    except DataError:
        raise
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        raise _damaged(path, error) from error
    return tuple(arrays)


def _of_version_4(path: Path) -> list[Variable]:
    """The variables of a file of version 4, which holds matrices alone, not compressed."""
    arrays = []
    for name, shape, kind in scipy.io.whosmat(str(path)):
        if kind == "double":
            arrays.append(Variable(name, tuple(shape), np.dtype(np.float64)))
        else:
            arrays.append(Variable(name, tuple(shape), None, kind))
    return arrays


def _fields(prefix: str, struct_array: NDArray[Any]) -> list[Variable]:
    """The fields of a struct that has one element."""
    found = []
    for field in struct_array.dtype.names or ():
        value = struct_array[0, 0][field]
        if not isinstance(value, np.ndarray):
            continue
        name = f"{prefix}/{field}"
        if value.dtype.kind in "iufb":
            found.append(Variable(name, value.shape, value.dtype))
        else:
            found.append(Variable(name, value.shape, None, _kind(value)))
        if value.dtype.names is not None and value.size == 1:
            found.extend(_fields(name, value))
    return found


def _kind(value: NDArray[Any]) -> str:
    """What a field is that holds no real numbers."""
    if value.dtype.names is not None:
        return "struct"
    if value.dtype.kind == "c":
        return "complex"
    if value.dtype.kind in "SU":
        return "char"
    return "not numeric"


def _load(path: Path, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = scipy.io.loadmat(str(path), variable_names=[name])[name]
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        raise _damaged(path, error) from error
    return array


def _stamp(path: Path) -> Stamp:
    """The size of a file, and when it was last written."""
    try:
        with path.open("rb", buffering=0) as file:
            return stamp_of(file)
    except OSError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a MATLAB file: {error}", fix="copy or save the file again"
    )


def _headers(path: Path, size: int) -> list[Header] | None:
    """The headers of all variables of a file of ``size`` bytes; None where it is of version 4.

    Raises:
        ValueError: The file ends within a variable, or a variable has no header.
    """
    headers = []
    with path.open("rb") as file:
        head = file.read(HEAD)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None:
            file.seek(0)
            check_version_4(file, size)
            return None
        while True:
            tag = file.read(8)
            if not tag:
                break
            kind, length = struct.unpack(order + "2I", tag)
            end = file.tell() + length
            if end > size:
                raise ValueError(f"it has {size} bytes, a variable ends at byte {end}")
            if kind in (COMPRESSED, MATRIX):
                header = _header(_prelude(file, kind, length), order)
                if header.is_struct:
                    file.seek(end - length - len(tag))
                    check_element(_whole(file, kind, length), order)
                if header.name:  # MATLAB's own workspace of functions has none
                    headers.append(header)
            file.seek(end)
    return headers


def _prelude(file: BinaryIO, kind: int, size: int) -> bytes:
    """The first bytes of a variable, without its tag."""
    begin = file.read(min(size, PRELUDE))
    if kind == COMPRESSED:
        return zlib.decompressobj().decompress(begin, PRELUDE)[8:]
    return begin


def _whole(file: BinaryIO, kind: int, size: int) -> memoryview:
    """All bytes of a variable with its tag, from where the file is read."""
    data = file.read(8 + size)
    if kind == COMPRESSED:
        data = zlib.decompress(data[8:])
    return memoryview(data)


def _header(prelude: bytes, order: str) -> Header:
    at, (_, flag_bytes) = _part(prelude, 0, order)
    (flags,) = struct.unpack_from(order + "I", flag_bytes)
    if flags & CLASS == OPAQUE:  # an object has no dimensions
        _, (_, name) = _part(prelude, at, order)
        return Header(name.decode("latin-1"), (1, 1), flags, 0)
    at, (_, sizes) = _part(prelude, at, order)
    at, (_, name) = _part(prelude, at, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if min(shape, default=-1) < 0:
        raise ValueError(f"the shape of a variable is {shape}")
    stored = 0
    if flags & CLASS in NUMBERS:
        stored, size = _tag(prelude, at, order)
        if stored not in STORED:
            raise ValueError(f"the values of a variable are of the type {stored}")
        needed = prod(shape) * np.dtype(STORED[stored]).itemsize
        if size != needed:
            raise ValueError(f"a variable of shape {shape} has {size} bytes, it needs {needed}")
    return Header(name.decode("latin-1"), shape, flags, stored)


def _part(prelude: bytes, at: int, order: str) -> tuple[int, Part]:
    """Where the next part of a variable begins, and the part that begins at byte ``at``."""
    kind, size = _tag(prelude, at, order)
    if _is_short(prelude, at, order):
        return at + 8, (kind, prelude[at + 4 : at + 4 + size])
    begin = at + 8
    return begin + -(-size // 8) * 8, (kind, prelude[begin : begin + size])


def _tag(prelude: bytes, at: int, order: str) -> tuple[int, int]:
    """The number of the type of the part that begins at byte ``at``, and its size in bytes."""
    if at + 8 > len(prelude):
        raise ValueError("a variable ends within its header")
    kind, size = struct.unpack_from(order + "2I", prelude, at)
    if _is_short(prelude, at, order):
        return kind & 0xFFFF, kind >> 16
    return kind, size


def _is_short(prelude: bytes, at: int, order: str) -> bool:
    """Whether a part has its bytes within its tag."""
    (kind,) = struct.unpack_from(order + "I", prelude, at)
    return bool(kind >> 16)
