"""Masks: class numbers of pixels, from any file that may hold them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError, SpecloomWarning
from specloom_cubes import formats
from specloom_cubes.cube import equals
from specloom_cubes.formats.variable import choose_mask, only_plane
from specloom_cubes.paths import advice
from specloom_cubes.rules import coco

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

UNLABELLED = -1
"""The class number of a pixel of which nothing is known."""


def read_mask(
    path: str | Path, size: tuple[int, ...], variable: str | None = None
) -> NDArray[np.int32]:
    """Class numbers, int32 (H, W); NaN and "no data" become -1, which is unlabelled.

    Args:
        path: A picture (PNG, BMP), a COCO file (.json), or any file that may hold a cube, with
            one band.
        size: Rows and columns of the cube, and maybe its bands, for messages.
        variable: The array to take from a file with several (MATLAB, HDF5, NPZ), or the image
            of a COCO file, by its file name or id.

    Raises:
        DataError: The file is absent or damaged, of another size, or holds no class numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no mask file {path}", fix=advice(path))
    rows, columns = size[:2]
    labels = _labels(_read(path, (rows, columns), variable), path)
    if labels.shape != (rows, columns):
        what = f"the mask {path} is {_by(labels.shape)}, the cube is {_by(size[:2])}"
        if labels.shape == size[1:]:
            what = f"the mask {path} is {_by(labels.shape)}, the cube {_by(size)}: bands come first"
            raise DataError(what, fix="save the cube as rows x columns x bands")
        if labels.shape == (columns, rows):
            raise DataError(f"{what}: transposed, it would fit", fix="transpose the mask")
        raise DataError(what, fix="give the mask of this cube")
    return labels


def own_mask(
    cube: Cube,
    variable: str | None = None,
    *,
    parameter: str = "mask_variable",
    other_than: str | None = None,
) -> NDArray[np.int32] | None:
    """The mask in the cube's own file: the named array, or the only 2-D one of its size.

    Args:
        cube: The cube.
        variable: The array's name.
        parameter: What the user calls ``variable``, for messages.
        other_than: An array that is no mask.

    Raises:
        DataError: Several arrays may be the mask, or none has the name; or it holds no classes.
    """
    name = own_mask_name(cube, variable, parameter=parameter, other_than=other_than)
    return None if name is None else read_mask(cube.path, cube.shape[:2], name)


def own_mask_name(
    cube: Cube,
    variable: str | None = None,
    *,
    parameter: str = "mask_variable",
    other_than: str | None = None,
) -> str | None:
    """The name of the array that ``own_mask`` reads; its pixels are not read."""
    reader = formats.named_arrays(cube.path)
    if reader is None:
        if variable is not None:
            file = parameter.removesuffix("_variable")
            raise DataError(
                f"{cube.path} has no named variables", fix=f"give the mask's file as {file}"
            )
        return None
    arrays = [one for one in reader.variables(cube.path) if one.name != other_than]
    return choose_mask(cube.path, arrays, cube.shape[:2], variable, parameter)


def _read(path: Path, size: tuple[int, int], variable: str | None) -> NDArray[Any]:
    if path.suffix.lower() == coco.SUFFIX:
        labels = coco.read_labels(path, size, variable)
        for note in labels.notes:
            warnings.warn(note, SpecloomWarning, stacklevel=3)
        return labels.classes
    reader = formats.named_arrays(path)
    if reader is not None:
        arrays = reader.variables(path)
        name = choose_mask(path, arrays, size, variable) or only_plane(path, arrays)
        return reader.load(path, name)
    if variable is not None:
        raise DataError(
            f"{path} has no named variables",
            fix=f"remove mask_variable: only {', '.join(formats.NAMED)} have them",
        )
    if path.suffix.lower() == ".npy":
        from specloom_cubes.formats import npy

        return npy.open_array(path)
    from specloom_cubes.formats import picture

    if path.suffix.lower() in picture.SUFFIXES:
        return picture.read_labels(path)
    if formats.is_cube(path):
        cube = formats.open_cube(path)
        if cube.ignore_value is None:
            return cube.array
        return np.where(equals(cube.array, cube.ignore_value), np.int64(UNLABELLED), cube.array)
    raise DataError(
        f"the format of the mask {path} is unknown",
        fix="use PNG, BMP, TIFF, .mat, .h5, .npy, .npz, COCO (.json) or an ENVI class file",
    )


def _labels(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise DataError(
            f"the mask {path} holds {values.dtype} of shape {values.shape}",
            fix="give one class number for each pixel: (rows, columns)",
        )
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), UNLABELLED, values)
        odd = values[values != np.rint(values)]
        if odd.size:
            raise DataError(
                f"the mask {path} holds {odd[0]:g}, which is not a class number",
                fix="give whole numbers",
            )
    limits = np.iinfo(np.int32)
    if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
        raise DataError(
            f"the mask {path} holds class numbers beyond 32 bits", fix="renumber the classes"
        )
    return values.astype(np.int32)


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
