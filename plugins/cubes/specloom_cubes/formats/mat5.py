"""MATLAB files up to version 7: what they hold, from their headers, and one variable of them."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy.io

from specloom import DataError
from specloom_cubes.formats.stored import Stamp, stamp_of
from specloom_cubes.formats.variable import Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = {
    "double": "f8",
    "single": "f4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "logical": "?",
}
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
KINDS = {"opaque": "object of a MATLAB class", "object": "object of a MATLAB class"}
"""What variables are of which MATLAB's name of the class says too little."""

COMPRESSED = 15
MATRIX = 14
"""Numbers of elements of a file."""

COMPLEX = 0x0800
"""The flag of complex arrays."""

PRELUDE = 4096
"""Bytes that surely hold a variable's flags, dimensions, name, and the tag of its data."""


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
        DataError: The file is damaged.
    """
    first, *fields = name.split("/")
    value = _load(path, first)
    for field in fields:
        value = value[0, 0][field]
    value.flags.writeable = False
    return value


@lru_cache(maxsize=64)
def _variables(path: Path, stamp: Stamp) -> tuple[Variable, ...]:
    """What a file holds whose size and time are ``stamp``."""
    try:
        listed = scipy.io.whosmat(str(path))
        stored = _stored_types(path)
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        raise _damaged(path, error) from error
    arrays = []
    for name, shape, kind in listed:
        arrays.append(_variable(name, tuple(shape), kind, stored.get(name, CLASSES.get(kind))))
        if kind == "struct" and prod(shape) == 1:
            arrays.extend(_fields(name, _load(path, name)))
    return tuple(arrays)


def _variable(name: str, shape: tuple[int, ...], kind: str, stored: str | None) -> Variable:
    """A variable of a class in MATLAB, and of the element type in which it is stored."""
    if kind == "logical":
        return Variable(name, shape, np.dtype(bool))
    if kind not in CLASSES:
        return Variable(name, shape, None, KINDS.get(kind, kind))
    if stored is None:
        return Variable(name, shape, None, "complex")
    return Variable(name, shape, np.dtype(stored))


def _fields(prefix: str, struct: NDArray[Any]) -> list[Variable]:
    """The fields of a struct that has one element."""
    found = []
    for field in struct.dtype.names or ():
        value = struct[0, 0][field]
        name = f"{prefix}/{field}"
        if not isinstance(value, np.ndarray):
            continue
        is_struct = value.dtype.names is not None
        if value.dtype.kind in "iufb":
            found.append(Variable(name, value.shape, value.dtype))
        else:
            found.append(Variable(name, value.shape, None, _kind(value)))
        if is_struct and value.size == 1:
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


def _stored_types(path: Path) -> dict[str, str | None]:
    """The element type in which each variable is stored; None for complex ones.

    MATLAB stores doubles as the smallest type that holds them, which is what scipy gives back,
    while ``whosmat`` names the class. Version 4 files hold none of this and give nothing here.
    """
    types: dict[str, str | None] = {}
    with path.open("rb") as file:
        head = file.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None:
            return types
        while True:
            tag = file.read(8)
            if len(tag) < 8:
                break
            kind, size = struct.unpack(order + "2I", tag)
            end = file.tell() + size
            variable = _name_and_type(_prelude(file, kind, size), order)
            if variable is not None:
                name, dtype = variable
                types.setdefault(name, dtype)
            file.seek(end)
    return types


def _prelude(file: BinaryIO, kind: int, size: int) -> bytes:
    begin = file.read(min(size, PRELUDE))
    if kind == COMPRESSED:
        return zlib.decompressobj().decompress(begin, PRELUDE)[8:]
    return begin if kind == MATRIX else b""


def _name_and_type(prelude: bytes, order: str) -> tuple[str, str | None] | None:
    parts = []
    at = 0
    for _ in range(4):  # flags, dimensions, name, data
        if at + 8 > len(prelude):
            return None
        kind, size = struct.unpack_from(order + "2I", prelude, at)
        if kind >> 16:  # a short element has its bytes within its tag
            size = kind >> 16
            kind = kind & 0xFFFF
            begin = at + 4
            at += 8
        else:
            begin = at + 8
            at = begin + -(-size // 8) * 8
        parts.append((kind, prelude[begin : begin + size]))
    (flags,) = struct.unpack_from(order + "I", parts[0][1])
    name = parts[2][1].decode("latin-1")
    if flags & COMPLEX:
        return name, None
    return name, STORED.get(parts[3][0])
