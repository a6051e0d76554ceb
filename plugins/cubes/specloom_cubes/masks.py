"""Masks: class numbers of pixels, from any file that may hold them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.cube import equals, valid_in_all
from specloom_cubes.formats.variable import named, only_plane, several
from specloom_cubes.paths import advice, expand
from specloom_cubes.rules import coco
from specloom_cubes.rules.colours import classes_of
from specloom_cubes.rules.masks import (
    LOSSY,
    NOT_READ,
    PICTURES,
    OwnArrays,
    ValidityArrays,
    check_size,
    notes_on_labels,
    own_arrays,
    refused,
    validity_arrays,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube, Valid
    from specloom_cubes.formats.variable import Variable

UNLABELLED = -1
"""The class number of a pixel of which nothing is known."""

FORMATS = "use PNG, BMP, TIFF, .mat, .h5, .npy, .npz, COCO (.json) or an ENVI class file"


@dataclass(frozen=True, eq=False)
class Mask:
    """The class numbers of a mask.

    Args:
        numbers: int32 (H, W), -1 where unlabelled.
        notes: What a user should know of them.
    """

    numbers: NDArray[np.int32]
    notes: tuple[str, ...] = ()


def read_mask(
    path: str | Path,
    size: tuple[int, ...],
    variable: str | None = None,
    colors: Mapping[str, int] | None = None,
) -> NDArray[np.int32]:
    """Class numbers, int32 (H, W); NaN and "no data" become -1, which is unlabelled.

    It warns of what a user should know of them, such as grey levels between 0 and 255.

    Args:
        path: A picture (PNG, BMP), a COCO file (.json), or any file that may hold a cube, with
            one band.
        size: Rows and columns of the cube, and maybe its bands, for messages.
        variable: The array to take from a file with several (MATLAB, HDF5, NPZ), or the image
            of a COCO file, by its file name or id.
        colors: The class numbers by colour, such as ``{"#ff0000": 1}``.

    Raises:
        DataError: The file is absent or damaged, of another size, or holds no class numbers.
    """
    labels = load_mask(path, size, variable, colors)
    for note in labels.notes:
        warnings.warn(note, stacklevel=2)
    return labels.numbers


def load_mask(
    path: str | Path,
    size: tuple[int, ...],
    variable: str | None = None,
    colors: Mapping[str, int] | None = None,
) -> Mask:
    """The class numbers as ``read_mask`` reads them, with what a user should know of them."""
    path = expand(path)
    if not path.is_file():
        raise DataError(f"there is no mask file {path}", fix=advice(path))
    values, notes = _read(path, size, variable, colors)
    numbers = _numbers(values, path)
    check_size(path, numbers.shape, size)
    return Mask(numbers, (*notes, *notes_on_labels(numbers, path)))


def own_mask(
    cube: Cube,
    variable: str | None = None,
    *,
    parameter: str = "mask_variable",
    other_than: str | None = None,
) -> NDArray[np.int32] | None:
    """The mask in the cube's own file: the named array, or the only one of class numbers.

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
    """The name of the array that ``own_mask`` reads."""
    reader = formats.named_arrays(cube.path)
    if variable is None:
        return only_mask(cube.path, own_arrays_of(cube, other_than).masks, parameter)
    if reader is None:
        file = parameter.removesuffix("_variable")
        raise DataError(
            f"{cube.path} has no named variables", fix=f"give the mask's file as {file}"
        )
    return _named_mask(cube.path, reader.variables(cube.path), variable, parameter).name


def own_arrays_of(cube: Cube, other_than: str | None = None) -> OwnArrays:
    """Which arrays of the cube's own file may be its mask, and which say what is valid."""
    reader = formats.named_arrays(cube.path)
    if reader is None:
        return OwnArrays()
    arrays = [one for one in reader.variables(cube.path) if one.name != other_than]
    return own_arrays(arrays, cube.shape[:2], lambda name: reader.load(cube.path, name))


def only_mask(
    path: Path, masks: Sequence[Variable], parameter: str = "mask_variable"
) -> str | None:
    """The name of the only array that may be the mask of a cube, None where there is none.

    Raises:
        DataError: There are several.
    """
    if len(masks) > 1:
        fix = f"name one with {parameter}, or write find_mask: false if none is"
        raise several(path, masks, "mask", fix)
    return masks[0].name if masks else None


def validity_arrays_of(cube: Cube, other_than: str | None = None) -> ValidityArrays:
    """Which arrays of the cube's own file say which pixels are valid, from its headers alone."""
    reader = formats.named_arrays(cube.path)
    if reader is None:
        return ValidityArrays()
    arrays = [one for one in reader.variables(cube.path) if one.name != other_than]
    return validity_arrays(arrays, cube.shape[:2])


def valid_pixels(cube: Cube, arrays: ValidityArrays) -> Valid | None:
    """Which pixels the cube's own file says are valid, (h, w) of rows and columns, or None.

    Args:
        cube: The cube, whose format may say it, such as the mask of a TIFF.
        arrays: Arrays of its file that say it.
    """
    parts: list[Valid] = []
    if cube.valid is not None:
        parts.append(cube.valid)
    parts += [_array_of(cube, name, wanted=True) for name in arrays.valid]
    parts += [_array_of(cube, name, wanted=False) for name in arrays.invalid]
    return valid_in_all(parts)


def valid_source(cube: Cube, arrays: ValidityArrays) -> str:
    """Where the cube's own file says which pixels are valid; empty where it does not."""
    sources = []
    if cube.valid is not None:
        sources.append(cube.valid_from or "the file's own mask")
    sources += [f"the array {name!r} of the file" for name in arrays.names]
    return " and ".join(sources)


def _array_of(cube: Cube, name: str, *, wanted: bool) -> Valid:
    """Where an array of the cube's own file is not 0, or where it is; it is read once."""
    reader = formats.named_arrays(cube.path)
    assert reader is not None, "only files with named arrays have such arrays"
    load: Callable[[], NDArray[Any]] = cache(lambda: reader.load(cube.path, name))
    return lambda rows, cols: (load()[rows, cols] != 0) == wanted


def _named_mask(
    path: Path, arrays: Sequence[Variable], name: str, parameter: str = "mask_variable"
) -> Variable:
    chosen = named(path, arrays, name, parameter)
    if chosen.dtype is None:
        raise DataError(f"{path}: {chosen} is not a mask", fix="name an array of class numbers")
    return chosen


def _array_with_mask(path: Path, size: tuple[int, int], variable: str | None) -> NDArray[Any]:
    """The mask in a file of several arrays, which the user has named, or which lies by a cube."""
    reader = formats.named_arrays(path)
    assert reader is not None, "only files with named arrays come here"
    arrays = reader.variables(path)
    if variable is not None:
        return reader.load(path, _named_mask(path, arrays, variable).name)
    fitting = [one for one in arrays if one.is_plane and one.shape == size]
    if len(fitting) > 1:
        found = own_arrays(fitting, size, lambda name: reader.load(path, name))
        fitting = list(found.masks) or fitting
    name = only_mask(path, fitting) or only_plane(path, arrays)
    return reader.load(path, name)


def _read(
    path: Path, size: tuple[int, ...], variable: str | None, colors: Mapping[str, int] | None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values of a mask, and what a user should know of them."""
    suffix = path.suffix.lower()
    if suffix in (*LOSSY, *NOT_READ):
        raise refused(path)
    if suffix == coco.SUFFIX:
        annotated = coco.read_labels(path, (size[0], size[1]), variable)
        return annotated.classes, annotated.notes
    if formats.named_arrays(path) is None and variable is not None:
        raise DataError(
            f"{path} has no named variables",
            fix=f"remove mask_variable: only {', '.join(formats.NAMED)} have them",
        )
    from specloom_cubes.formats import picture

    if suffix in PICTURES:
        return picture.read_labels(path, size, colors)
    values = _array(path, (size[0], size[1]), variable)
    if values.ndim == 3 and values.shape[2] in (3, 4) and values.dtype == np.uint8:
        return classes_of(picture.colours_of(values), path, colors)
    if colors is not None:
        raise DataError(
            f"the mask {path} holds class numbers, and no colours",
            fix="remove colors, or name a picture",
        )
    return values, ()


def _array(path: Path, size: tuple[int, int], variable: str | None) -> NDArray[Any]:
    if formats.named_arrays(path) is not None:
        return _array_with_mask(path, size, variable)
    if path.suffix.lower() == ".npy":
        from specloom_cubes.formats import npy

        return npy.open_array(path)
    if formats.is_cube(path):
        return _without_invalid(formats.open_cube(path))
    raise DataError(f"the format of the mask {path} is unknown", fix=FORMATS)


def _without_invalid(cube: Cube) -> NDArray[Any]:
    """The stored values, -1 where the file says that there are none."""
    values = cube.array
    if cube.shape[2] > 1:
        return values
    if cube.ignore_value is not None:
        missing = equals(values, cube.ignore_value)
        values = np.where(missing, np.int64(UNLABELLED), values)
    if cube.valid is not None:
        valid = cube.valid(slice(None), slice(None))
        values = np.where(valid[..., None], values, np.int64(UNLABELLED))
    return values


def _numbers(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
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
                fix="give whole numbers; apply a threshold to a map of probabilities",
            )
    limits = np.iinfo(np.int32)
    if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
        raise DataError(
            f"the mask {path} holds class numbers beyond 32 bits", fix="renumber the classes"
        )
    return values.astype(np.int32)
