"""MATLAB files of any version: which variable is the cube, the mask, the wavelengths."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom import DataError
from specloom_cubes.cube import ALL, Cube, Load
from specloom_cubes.formats import mat5, mat73
from specloom_cubes.formats.units import to_nm
from specloom_cubes.formats.variable import Variable, listing, named, only

if TYPE_CHECKING:
    from numpy.typing import NDArray


def variables(path: Path) -> list[Variable]:
    """What the file holds, from its headers."""
    return mat73.variables(path) if h5py.is_hdf5(path) else mat5.variables(path)


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole variable."""
    return mat73.load(path, name, ALL, ALL) if h5py.is_hdf5(path) else mat5.load(path, name)


def open_cube(path: Path, variable: str | None = None) -> Cube:
    """Open the only 3-D numeric array of a file, or the named one.

    A vector of the file whose name begins with ``wavelength`` and that has one value for each
    band gives the wavelengths.

    Raises:
        DataError: There is none, or several and no name.
    """
    found = variables(path)
    if variable is not None:
        chosen = named(path, found, variable, "cube_variable")
        if not _is_cube(chosen):
            raise DataError(
                f"{path}: {chosen} is not a cube", fix="name a real array with three axes"
            )
    else:
        only_one = only(path, found, _is_cube, "cube", "cube_variable")
        if only_one is None:
            raise DataError(
                f"{path} holds no numeric array with three axes, only {listing(found)}",
                fix="save the cube as rows x columns x bands",
            )
        chosen = only_one
    height, width, bands = chosen.shape
    assert chosen.dtype is not None, "_is_cube asks for a numeric array"
    return Cube(
        path,
        (height, width, bands),
        chosen.dtype.newbyteorder("="),
        _loader(path, chosen.name),
        variable=chosen.name,
        wavelengths=_wavelengths(path, found, bands),
    )


def mask_variable(path: Path, size: tuple[int, int], name: str | None = None) -> str | None:
    """The name of the only 2-D array of that size, or of the named one; None where there is none.

    Raises:
        DataError: There are several and no name, or none of the name.
    """
    found = variables(path)
    if name is not None:
        chosen = named(path, found, name, "mask_variable")
        if chosen.dtype is None:
            raise DataError(f"{path}: {chosen} is not a mask", fix="name an array of class numbers")
        return name
    fitting = only(path, found, lambda v: _is_plane(v) and v.shape == size, "mask", "mask_variable")
    return fitting.name if fitting else None


def only_plane(path: Path) -> str:
    """The name of the only 2-D array that is no vector, whatever its size.

    Raises:
        DataError: There is none, or there are several.
    """
    found = variables(path)
    chosen = only(path, found, _is_plane, "mask", "mask_variable")
    if chosen is None:
        raise DataError(
            f"{path} holds no numeric array with two axes, only {listing(found)}",
            fix="give a file that holds the mask",
        )
    return chosen.name


def _is_plane(variable: Variable) -> bool:
    return variable.dtype is not None and len(variable.shape) == 2 and 1 not in variable.shape


def _is_cube(variable: Variable) -> bool:
    numeric = variable.dtype is not None and variable.dtype.kind in "iuf"
    return numeric and len(variable.shape) == 3 and 0 not in variable.shape


def _loader(path: Path, name: str) -> Load:
    if h5py.is_hdf5(path):
        return lambda rows, cols: mat73.load(path, name, rows, cols)
    # Version 5 is compressed as a whole: what was read once is kept while the cube lives.
    whole = cache(lambda: mat5.load(path, name))
    return lambda rows, cols: whole()[rows, cols]


def _wavelengths(path: Path, found: list[Variable], bands: int) -> NDArray[np.float64] | None:
    for one in found:
        vector = (
            one.dtype is not None and int(np.prod(one.shape)) == max(one.shape, default=0) == bands
        )
        if vector and one.name.lower().startswith("wavelength"):
            return to_nm(np.asarray(load(path, one.name), np.float64).ravel(), "")
    return None
