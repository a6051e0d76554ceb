"""Which array of a file is the cube."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import TypeAlias

from specloom import DataError
from specloom_cubes.formats.variable import Variable, listing, named, several
from specloom_cubes.rules.axes import cube_axes

Lengths: TypeAlias = Callable[[Variable], Collection[int]]
"""How many values the vectors have that may hold the band centres of an array."""

SHAPE_FIX = "for a matrix of pixels write shape: [rows, columns]"


def choose_cube(
    path: Path,
    arrays: Iterable[Variable],
    name: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    lengths: Lengths = lambda _: (),
    known: Collection[str] = (),
) -> Variable:
    """The array of a file that is the cube.

    It is the named one, or that of a known product, or the only one with three axes, one of them as
    long as the band centres; or, where no array has such an axis, the only one with three axes. An
    array with more axes counts where the others have length 1. A matrix of pixels is the cube only
    where ``shape`` is stated.

    Args:
        path: The file, for messages.
        arrays: All arrays of the file.
        name: The name of the cube by the user.
        shape: Rows and columns of the image where the cube is a matrix of pixels.
        lengths: How many values the vectors have that may hold the band centres of an array.
        known: The names of cubes of known products.

    Raises:
        DataError: There is none, or several and no name; or the named one has not three axes.
    """
    arrays = list(arrays)
    if name is not None:
        return _named_cube(path, arrays, name, shape)
    if shape is not None:
        return _only_matrix(path, arrays, shape)
    cubes = [one for one in arrays if cube_axes(one) is not None]
    candidates = [one for one in cubes if one.name in known]
    if not candidates:
        candidates = [one for one in cubes if set(one.shape) & set(lengths(one))]
    if not candidates:
        candidates = cubes + _matrices(arrays, cubes, lengths)
    if not cubes:
        raise _no_cube(path, arrays)
    if len(candidates) > 1:
        fix = "name one with cube_variable"
        if any(len(one.shape) == 2 for one in candidates):
            fix = f"{fix}; {SHAPE_FIX}"
        raise several(path, candidates, "cube", fix)
    return candidates[0]


def is_matrix(variable: Variable) -> bool:
    """Whether an array may be a matrix of pixels."""
    return variable.is_real and len(variable.shape) == 2 and min(variable.shape) > 1


def _named_cube(
    path: Path, arrays: Sequence[Variable], name: str, shape: tuple[int, int] | None
) -> Variable:
    chosen = named(path, arrays, name, "cube_variable")
    if shape is not None and is_matrix(chosen):
        return chosen
    if shape is None and cube_axes(chosen) is not None:
        return chosen
    raise DataError(f"{path}: {chosen} is not a cube", fix=_fix_for(chosen, arrays, shape))


def _fix_for(chosen: Variable, arrays: Sequence[Variable], shape: tuple[int, int] | None) -> str:
    """What to do about a named array that is no cube."""
    fields = [one.name for one in arrays if one.name.startswith(f"{chosen.name}/")]
    if fields:
        return f"name one of its fields: {', '.join(fields)}"
    if chosen.kind.startswith("complex"):
        return "save the magnitude or the real part"
    if shape is not None:
        return "name a matrix of pixels x bands, or remove shape"
    if is_matrix(chosen):
        return f"name a real array with three axes; {SHAPE_FIX}"
    return "name a real array with three axes"


def _only_matrix(path: Path, arrays: Sequence[Variable], shape: tuple[int, int]) -> Variable:
    """The only matrix with as many pixels as the image."""
    pixels = shape[0] * shape[1]
    fitting = [one for one in arrays if is_matrix(one) and pixels in one.shape]
    if len(fitting) > 1:
        raise several(path, fitting, "cube", "name one with cube_variable")
    if not fitting:
        raise DataError(
            f"{path} holds no matrix with {shape[0]} x {shape[1]} = {pixels} pixels, only "
            f"{listing(arrays)}",
            fix="write the rows and columns of the image: shape: [rows, columns]",
        )
    return fitting[0]


def _matrices(
    arrays: Sequence[Variable], cubes: Sequence[Variable], lengths: Lengths
) -> list[Variable]:
    """Matrices that may be the cube rather than arrays with three axes, such as abundances.

    Such a matrix has an axis as long as the band centres, or all pixels of the array with three
    axes and more values of each.
    """
    found = []
    for one in arrays:
        if not is_matrix(one):
            continue
        has_bands = bool(set(one.shape) & set(lengths(one)))
        if has_bands or any(_unfolds_more(one, cube) for cube in cubes):
            found.append(one)
    return found


def _unfolds_more(matrix: Variable, cube: Variable) -> bool:
    """Whether a matrix has all pixels of an array with three axes, and more values of each."""
    sizes = [cube.shape[axis] for axis in cube_axes(cube) or ()]
    for bands in sizes:
        pixels = prod(sizes) // bands
        for pixel_axis in (0, 1):
            values = matrix.shape[1 - pixel_axis]
            if matrix.shape[pixel_axis] == pixels and values > bands:
                return True
    return False


def _no_cube(path: Path, arrays: Sequence[Variable]) -> DataError:
    """The error of a file without an array with three axes."""
    fix = "save the cube as rows x columns x bands"
    if any(is_matrix(one) for one in arrays):
        fix = f"{fix}; {SHAPE_FIX}"
    kinds = " ".join(one.kind for one in arrays if one.dtype is None)
    if "MATLAB class" in kinds:
        fix = "save the numbers of the object as arrays: cube = hcube.DataCube; save(file, 'cube')"
    elif "complex" in kinds:
        fix = f"{fix}, with the magnitude or the real part of complex numbers"
    return DataError(
        f"{path} holds no numeric array with three axes, only {listing(arrays)}", fix=fix
    )
