"""NumPy archives: their arrays' headers without the arrays, and one array of them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Load, Reading
from specloom_cubes.formats import npy
from specloom_cubes.formats.named import NamedFile
from specloom_cubes.formats.stored import stamp_of
from specloom_cubes.formats.variable import Variable

if TYPE_CHECKING:
    from io import FileIO

    from numpy.typing import NDArray

    from specloom_cubes.rules.axes import Arrangement

LOCAL = struct.Struct("<26x2H")
"""The lengths of name and extra field at the end of a member's local header, 30 bytes."""

ENCRYPTED = 1
"""The flag of a member that needs a password."""

DAMAGE = (*npy.DAMAGE, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, struct.error)
"""What damaged archives make zipfile and NumPy raise."""


def variables(path: Path) -> list[Variable]:
    """The arrays of an archive, in its order, without their values.

    Raises:
        DataError: The file is damaged, or an array is longer than what the archive holds of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
            names = [one.filename for one in members]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"it holds {name} more than once")
            return [_variable(archive, one) for one in members]
    except DAMAGE as error:
        raise _damaged(path, error) from error


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole array, read-only. Python objects are never made.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[name]
    except DAMAGE as error:
        raise _damaged(path, error) from error
    array.flags.writeable = False
    return array


def open_cube(path: Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open the cube of an archive, or the named array.

    ``rules.arrays`` says which array is the cube, ``rules.axes`` which axis has the bands. An array
    that is not compressed is read part by part; any other stays in memory while it is open.

    Raises:
        DataError: There is none, or several and no name.
    """
    file = NamedFile(path, "NPZ", variables(path), partial(load, path))
    return file.open_cube(variable, reading, partial(_loader, path))


def _loader(path: Path, chosen: Variable, arrangement: Arrangement) -> Load:
    stored = _stored(path, chosen.name)
    if stored is not None:
        return lambda rows, cols: arrangement.read(stored.read, rows, cols)
    whole = cache(lambda: load(path, chosen.name))
    return lambda rows, cols: arrangement.read(whole().__getitem__, rows, cols)


def _stored(path: Path, name: str) -> npy.NpyArray | None:
    """An array that lies in an archive as it is; None where it is compressed.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with path.open("rb", buffering=0) as raw, zipfile.ZipFile(raw) as archive:
            member = archive.getinfo(f"{name}.npy")
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
                return None
            with archive.open(member) as start:
                shape, is_reversed, dtype = npy.read_header(start)
                header = start.tell()
            begin = _begin(raw, member) + header
            return npy.array_at(path, dtype, begin, shape, is_reversed, stamp_of(raw))
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _begin(file: FileIO, member: zipfile.ZipInfo) -> int:
    """The byte at which a member begins that is not compressed, behind its local header."""
    file.seek(member.header_offset)
    header = file.read(LOCAL.size)
    name, extra = LOCAL.unpack(header)
    return member.header_offset + LOCAL.size + int(name) + int(extra)


def _variable(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Variable:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        shape, _, dtype = npy.read_header(file)
        needed = prod(shape) * dtype.itemsize
        available = member.file_size - file.tell()
        if dtype.kind != "O" and available < needed:
            raise ValueError(f"{name} promises {needed} bytes, it holds {available}")
    if dtype.kind not in "iufb":
        return Variable(name, shape, None, _kind(dtype))
    return Variable(name, shape, dtype)


def _kind(dtype: np.dtype[Any]) -> str:
    """What an array is that holds no real numbers."""
    if dtype.kind == "c":
        return dtype.name
    if dtype.names is not None:
        return f"table of {', '.join(dtype.names)}"
    return "not numeric"


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as .npz: {error}", fix="write the file again")
