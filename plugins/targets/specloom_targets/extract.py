"""Spectra out of a cube: of pixels, of the classes of a mask, of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError
from specloom_cubes import Spectra
from specloom_objects import measure_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Cube

BLOCK_PIXELS = 1 << 16
"""Pixels that are read together."""


def pixel_spectra(cube: Cube, pixels: Sequence[tuple[int, int]]) -> Spectra:
    """The spectra of single pixels, called ``row,column``, both counted from 0.

    Raises:
        DataError: A pixel is not in the cube.
    """
    height, width, _ = cube.shape
    values = []
    for row, column in pixels:
        if not (0 <= row < height and 0 <= column < width):
            raise DataError(
                f"{cube.path} has {height} rows and {width} columns, so no pixel {row},{column}",
                fix="count rows and columns from 0",
            )
        spectrum = cube.clean(slice(row, row + 1), slice(column, column + 1))
        values.append(spectrum[0, 0].astype(np.float64))
    names = [f"{row},{column}" for row, column in pixels]
    return _spectra(cube, names, np.stack(values))


def class_spectra(
    cube: Cube, mask: NDArray[np.int32], names: Mapping[int, str] | None = None
) -> Spectra:
    """The mean spectrum of each class of a mask above 0, called ``class 1`` and so on.

    Pixels that are not finite in every band are excluded. Sums are float64, added in the order of
    the pixels.

    Args:
        cube: The cube.
        mask: Class numbers, (H, W).
        names: Names of classes; only these classes are taken. None for all.

    Raises:
        DataError: There is no such class, or one has no usable pixel.
    """
    chosen = _class_names(cube, mask, names)
    bands = len(cube.good_bands)
    sums = {number: np.zeros(bands) for number in chosen}
    counts = dict.fromkeys(chosen, 0)
    height, width, _ = cube.shape
    step = max(1, BLOCK_PIXELS // max(width, 1))
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        labels = mask[rows]
        if not np.isin(labels, list(chosen)).any():
            continue
        pixels = cube.clean(rows)
        for number in chosen:
            members = pixels[labels == number].astype(np.float64)
            members = members[np.isfinite(members).all(1)]
            sums[number] += members.sum(0)
            counts[number] += len(members)
    for number, count in counts.items():
        if count == 0:
            raise DataError(
                f"{cube.path}: no pixel of {chosen[number]!r} is finite in every band",
                fix="correct the mask, or choose other classes",
            )
    means = [sums[number] / counts[number] for number in chosen]
    return _spectra(cube, list(chosen.values()), np.stack(means))


def object_spectra(cube: Cube, mask: NDArray[np.int32]) -> Spectra:
    """The mean spectrum of each connected region of a mask above 0, called ``object 1`` and so on.

    Pixels that touch at a side or a corner belong together; numbers are those of the table of
    objects.

    Raises:
        DataError: There is no region.
    """
    table = measure_objects(mask > 0, read_rows=cube.clean, wavelengths=cube.good_wavelengths)
    if len(table) == 0:
        raise DataError(f"{cube.path}: the mask has no class above 0", fix="give another mask")
    names = [f"object {label}" for label in table.spectra_of]
    return _spectra(cube, names, table.spectra)


def _class_names(
    cube: Cube, mask: NDArray[np.int32], names: Mapping[int, str] | None
) -> dict[int, str]:
    present = [int(number) for number in np.unique(mask)]
    if names is None:
        found = {number: f"class {number}" for number in present if number > 0}
        if not found:
            raise DataError(f"{cube.path}: the mask has no class above 0", fix="give another mask")
        return found
    for number in names:
        if number not in present:
            raise DataError(
                f"{cube.path}: the mask has no class {number}, but {present}",
                fix="choose one of these",
            )
    return dict(names)


def _spectra(cube: Cube, names: Sequence[str], values: NDArray[np.float64]) -> Spectra:
    fwhm = None
    if cube.fwhm is not None:
        fwhm = cube.fwhm[cube.good_bands]
    return Spectra(tuple(names), values, cube.good_wavelengths, fwhm, "", str(cube.path))
