"""MATLAB files of any version: which variable is the cube, and which the wavelengths."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom_cubes.cube import ALL, AS_STATED, Cube, Load, Reading
from specloom_cubes.formats import mat5, mat73
from specloom_cubes.formats.units import to_nm
from specloom_cubes.formats.variable import Variable, choose_cube

if TYPE_CHECKING:
    from numpy.typing import NDArray


def variables(path: Path) -> list[Variable]:
    """What the file holds, from its headers."""
    if h5py.is_hdf5(path):
        return mat73.variables(path)
    return mat5.variables(path)


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole variable."""
    if h5py.is_hdf5(path):
        return mat73.load(path, name, ALL, ALL)
    return mat5.load(path, name)


def open_cube(path: Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open the only 3-D numeric array of a file, or the named one.

    A vector of the file whose name begins with ``wavelength`` and that has one value for each
    band gives the wavelengths.

    Raises:
        DataError: There is none, or several and no name.
    """
    arrays = variables(path)
    chosen = choose_cube(path, arrays, variable)
    height, width, bands = chosen.shape
    assert chosen.dtype is not None, "a cube is a numeric array"
    return Cube(
        path,
        (height, width, bands),
        chosen.dtype.newbyteorder("="),
        _loader(path, chosen.name),
        variable=chosen.name,
        format="MATLAB 7.3" if h5py.is_hdf5(path) else "MATLAB",
        wavelengths=_wavelengths(path, arrays, bands),
        reading=reading,
    )


def _loader(path: Path, name: str) -> Load:
    if h5py.is_hdf5(path):
        return lambda rows, cols: mat73.load(path, name, rows, cols)
    # Version 5 is compressed as a whole: it stays in memory while the cube is open.
    whole = cache(lambda: mat5.load(path, name))
    return lambda rows, cols: whole()[rows, cols]


def _wavelengths(path: Path, arrays: list[Variable], bands: int) -> NDArray[np.float64] | None:
    for one in arrays:
        longest = max(one.shape, default=0)
        is_vector = int(np.prod(one.shape)) == longest
        if one.dtype is None or not is_vector or longest != bands:
            continue
        if one.name.lower().startswith("wavelength"):
            return to_nm(np.asarray(load(path, one.name), np.float64).ravel(), "")
    return None
