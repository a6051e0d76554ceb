"""NumPy archives: their arrays' headers without the arrays, and one array of them."""

from __future__ import annotations

import zipfile
import zlib
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats import npy
from specloom_cubes.formats.units import to_nm
from specloom_cubes.formats.variable import Variable, choose_cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAMAGE = (*npy.DAMAGE, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError)
"""What damaged archives make zipfile and NumPy raise."""


def variables(path: Path) -> list[Variable]:
    """The arrays of an archive, in its order, without their values.

    Raises:
        DataError: The file is damaged, or an array is longer than what the archive holds of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
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
    """Open the only 3-D numeric array (H, W, C) of an archive, or the named one.

    A vector whose name contains ``wavelength`` and that has one value for each band gives the
    wavelengths. An archive is read array by array: the cube stays in memory while it is open.

    Raises:
        DataError: There is none, or several and no name.
    """
    arrays = variables(path)
    chosen = choose_cube(path, arrays, variable)
    height, width, bands = chosen.shape
    assert chosen.dtype is not None, "a cube is a numeric array"
    whole = cache(lambda: load(path, chosen.name))
    return Cube(
        path,
        (height, width, bands),
        chosen.dtype.newbyteorder("="),
        lambda rows, cols: whole()[rows, cols],
        variable=chosen.name,
        format="NPZ",
        interleave="bip",
        wavelengths=_wavelengths(path, arrays, bands),
        reading=reading,
    )


def _wavelengths(path: Path, arrays: list[Variable], bands: int) -> NDArray[np.float64] | None:
    for one in arrays:
        per_band = one.dtype is not None and one.shape == (bands,)
        if per_band and "wavelength" in one.name.lower():
            return to_nm(load(path, one.name).astype(np.float64), "")
    return None


def _variable(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Variable:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        shape, _, dtype = npy.read_header(file)
        needed = prod(shape) * dtype.itemsize
        available = member.file_size - file.tell()
        if dtype.kind != "O" and available < needed:
            raise ValueError(f"{name} promises {needed} bytes, it holds {available}")
    if dtype.kind not in "iufb":
        return Variable(name, shape, None)
    return Variable(name, shape, dtype)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as .npz: {error}", fix="write the file again")
