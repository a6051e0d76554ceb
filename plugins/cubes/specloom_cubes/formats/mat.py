"""MATLAB files of any version: which variable is the cube, and which the wavelengths."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from specloom_cubes.cube import AS_STATED, Cube, Load, Reading
from specloom_cubes.formats import hdf5, mat5, mat73
from specloom_cubes.formats.named import NamedFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.formats.variable import Variable
    from specloom_cubes.rules.axes import Arrangement


def variables(path: Path) -> list[Variable]:
    """What the file holds, from its headers; fields of structs as ``hcube/DataCube``."""
    if not h5py.is_hdf5(path):
        return mat5.variables(path)
    if mat73.is_matlab(path):
        return mat73.variables(path)
    return hdf5.variables(path)


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole variable."""
    if not h5py.is_hdf5(path):
        return mat5.load(path, name)
    if mat73.is_matlab(path):
        return mat73.load(path, name)
    return hdf5.load(path, name)


def open_cube(path: Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open the cube of a file, or the named variable or field.

    ``rules.arrays`` says which variable is the cube, ``rules.axes`` which axis has the bands.

    Raises:
        DataError: There is none, or several and no name.
    """
    if not h5py.is_hdf5(path):
        file = NamedFile(path, "MATLAB", variables(path), partial(load, path), matlab=True)
        return file.open_cube(variable, reading, partial(_loader_of_5, path))
    if mat73.is_matlab(path):
        file = NamedFile(path, "MATLAB 7.3", variables(path), partial(load, path), matlab=True)
        return file.open_cube(variable, reading, partial(_loader_of_73, path))
    return hdf5.open_cube(path, variable, reading)


def _loader_of_5(path: Path, chosen: Variable, arrangement: Arrangement) -> Load:
    # Version 5 is compressed as a whole: it stays in memory while the cube is open.
    whole = cache(lambda: mat5.load(path, chosen.name))
    return lambda rows, cols: arrangement.read(whole().__getitem__, rows, cols)


def _loader_of_73(path: Path, chosen: Variable, arrangement: Arrangement) -> Load:
    take = partial(mat73.read_part, path, chosen.name)
    return lambda rows, cols: arrangement.read(take, rows, cols)
