"""MATLAB files up to version 7: what they hold, from their headers, and one variable of them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy.io

from specloom import DataError
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
COMPRESSED = 15
MATRIX = 14
"""Numbers of elements of a file."""

COMPLEX = 0x0800
"""The flag of complex arrays."""

PRELUDE = 4096
"""Bytes that surely hold a variable's flags, dimensions, name, and the tag of its data."""


def variables(path: Path) -> list[Variable]:
    """The variables of a file, in its order, without their values.

    Raises:
        DataError: The file is damaged.
    """
    try:
        listed = scipy.io.whosmat(str(path))
        stored = _stored_types(path)
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        raise _damaged(path, error) from error
    arrays = []
    for name, shape, kind in listed:
        dtype = stored.get(name, CLASSES.get(kind))
        if kind == "logical" or kind not in CLASSES:
            dtype = CLASSES.get(kind)
        element = None
        if dtype:
            element = np.dtype(dtype)
        arrays.append(Variable(name, tuple(shape), element))
    return arrays


def load(path: Path, name: str) -> NDArray[Any]:
    """One variable, as it is stored, read-only.

    Raises:
        DataError: The file is damaged.
    """
    try:
        array: NDArray[Any] = scipy.io.loadmat(str(path), variable_names=[name])[name]
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        raise _damaged(path, error) from error
    array.flags.writeable = False
    return array


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
