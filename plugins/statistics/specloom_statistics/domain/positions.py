"""Pixels spread evenly over an image, the same however the image is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = 1024
"""Pixels that are looked at of an image, and that a pipeline stores of what it was fitted on."""

PLASTIC = 1.324717957244746
"""The real root of x^3 = x + 1: M. Roberts' R2 sequence is the multiples of 1/x and 1/x^2."""


def sample_positions(
    height: int, width: int, count: int = PIXELS
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of at most ``count`` pixels; all of an image that has no more.

    They are even over rows, over columns and over the image, and depend on its size alone.
    """
    if height * width <= count:
        every = np.arange(height * width)
        rows, columns = np.divmod(every, width)
        return rows, columns
    steps = np.arange(1, count + 1)
    rows = np.mod(0.5 + steps / PLASTIC, 1) * height
    columns = np.mod(0.5 + steps / PLASTIC**2, 1) * width
    return rows.astype(np.intp), columns.astype(np.intp)
