"""Masks: class numbers of pixels, from any file that may hold them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes import formats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

UNLABELLED = -1
"""The class number of a pixel of which nothing is known."""


def read_mask(
    path: str | Path, size: tuple[int, int], variable: str | None = None
) -> NDArray[np.int32]:
    """Class numbers, int32 (H, W); NaN becomes -1, which is unlabelled.

    Args:
        path: A picture (PNG, BMP), .mat, .npy or ENVI file.
        size: Rows and columns of the cube.
        variable: The array to take from a .mat file.

    Raises:
        DataError: The file is absent or damaged, of another size, or holds no class numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"there is no mask file {path}", fix="check the path; it is relative to where you run"
        )
    labels = _labels(_read(path, size, variable), path)
    if labels.shape != size:
        what = f"the mask {path} is {_by(labels.shape)}, the cube is {_by(size)}"
        if labels.shape == size[::-1]:
            raise DataError(f"{what}: transposed, it would fit", fix="transpose the mask")
        raise DataError(what, fix="give the mask of this cube")
    return labels


def own_mask(cube: Cube, variable: str | None = None) -> NDArray[np.int32] | None:
    """The mask in the cube's own .mat file: the named array, or the only 2-D one of its size."""
    if cube.path.suffix.lower() != ".mat":
        if variable is not None:
            raise DataError(
                f"{cube.path} has no named variables", fix="give the mask's file as mask"
            )
        return None
    from specloom_cubes.formats import mat

    name = mat.mask_variable(cube.path, cube.shape[:2], variable)
    return None if name is None else read_mask(cube.path, cube.shape[:2], name)


def _read(path: Path, size: tuple[int, int], variable: str | None) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".mat":
        from specloom_cubes.formats import mat

        name = mat.mask_variable(path, size, variable) or mat.only_plane(path)
        return mat.load(path, name)
    if variable is not None:
        raise DataError(
            f"{path} has no named variables", fix="remove mask_variable: only .mat has them"
        )
    if suffix == ".npy":
        from specloom_cubes.formats import npy

        return npy.open_array(path)
    from specloom_cubes.formats import picture

    if suffix in picture.SUFFIXES:
        return picture.read_labels(path)
    if formats.is_cube(path):
        return formats.open_cube(path).array
    raise DataError(
        f"no reader of masks knows {path}", fix="use PNG, BMP, .mat, .npy or an ENVI class file"
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
        if (odd := values[values != np.rint(values)]).size:
            raise DataError(
                f"the mask {path} holds {odd[0]:g}, which is no class number",
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
