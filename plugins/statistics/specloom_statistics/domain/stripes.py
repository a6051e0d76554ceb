"""How much the brightness of an image is striped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LAGS = 32
"""Pixels in the order of their columns are compared with so many after them."""

NEAR = 3
"""Columns that are at most so far apart are neighbours."""

LEAST_PAIRS = 200
"""With fewer pairs of pixels in one column, or in neighbouring ones, the spread counts as 0."""

MEDIAN_OF_DIFFERENCES = 0.954
"""The median size of the difference of two normal values, by their standard deviation."""


def stripe_spread(log_level: Floats, where: Floats) -> float:
    """The standard deviation of what the pixels of a column share, and its neighbours do not.

    Pixels of neighbouring columns differ more than those of one column where columns have gains of
    their own; materials and shadows reach over several of them.

    Args:
        log_level: ln of the brightness of pixels, (n,).
        where: The column of each, or the row, (n,).
    """
    columns = np.unique(where, return_inverse=True)[1]
    # Mixed, so that pixels of one column are no nearer to each other than those of two.
    mixed = np.random.default_rng(0).permutation(len(columns))
    order = mixed[np.argsort(columns[mixed], kind="stable")]
    levels = log_level[order]
    columns = columns[order]
    same = []
    near = []
    for lag in range(1, min(LAGS, len(levels) - 1) + 1):
        difference = np.abs(levels[lag:] - levels[:-lag])
        apart = columns[lag:] - columns[:-lag]
        same.append(difference[apart == 0])
        near.append(difference[(apart > 0) & (apart <= NEAR)])
    if min(_count(same), _count(near)) < LEAST_PAIRS:
        return 0.0
    return float(np.sqrt(max(_spread(near) ** 2 - _spread(same) ** 2, 0.0)))


def _count(parts: list[Floats]) -> int:
    return sum(len(part) for part in parts)


def _spread(differences: list[Floats]) -> float:
    """The standard deviation of values, from the sizes of their differences."""
    return float(np.median(np.concatenate(differences))) / MEDIAN_OF_DIFFERENCES
