"""Cubes in memory, for what else reads cubes in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import Cube

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


ARRAY = "array"
"""The format of cubes in memory."""


def array_cube(
    values: NDArray[Any],
    wavelengths: ArrayLike | None = None,
    valid: NDArray[np.bool_] | None = None,
    *,
    name: str = "the array",
) -> Cube:
    """An array (H, W, C) as a cube, without a copy.

    Args:
        values: The pixels.
        wavelengths: Band centres in nm, (C,).
        valid: Which pixels count, bool (H, W).
        name: What messages call it.

    Raises:
        DataError: The shapes do not agree, or it has no pixel.
    """
    if values.ndim != 3 or 0 in values.shape:
        what = f"{name} has the shape {values.shape}, where (H, W, C) with pixels is needed"
        raise DataError(what, fix="pass rows, columns and bands, in this order")
    centres = None
    if wavelengths is not None:
        centres = np.asarray(wavelengths, np.float64)
        if centres.shape != values.shape[2:]:
            what = f"{name} has {values.shape[2]} bands, and {centres.size} wavelengths"
            raise DataError(what, fix="pass one wavelength in nm for each band")
    load_valid = None
    if valid is not None:
        if valid.shape != values.shape[:2]:
            what = f"valid has the shape {valid.shape}, {name} has {values.shape[:2]} pixels"
            raise DataError(what, fix="pass valid of the rows and columns of the cube")
        load_valid = _parts_of(valid)
    return Cube(
        Path(name),
        (values.shape[0], values.shape[1], values.shape[2]),
        values.dtype,
        _parts_of(values),
        format=ARRAY,
        wavelengths=centres,
        wavelengths_from="the arguments" if centres is not None else "",
        valid=load_valid,
        valid_from="the arguments" if valid is not None else "",
    )


def _parts_of(values: NDArray[Any]) -> Any:
    """What gives some rows and columns of an array."""

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        part: NDArray[Any] = values[rows, cols]
        return part

    return load
