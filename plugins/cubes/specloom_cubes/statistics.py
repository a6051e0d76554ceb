"""Figures of a cube, read block by block so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.cube import equals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

BLOCK_BYTES = 16 * 2**20
"""The size of a block that is read in one piece, as float64."""


@dataclass(frozen=True)
class Statistics:
    """What the values of a cube are, over its good bands.

    Args:
        minimum: The least finite value; NaN where there is none.
        maximum: The greatest finite value.
        mean: Of the finite values.
        not_finite: Share of values that are NaN or infinite.
        no_data: Share of values that stand for "no data", over ALL bands, bad ones too.
        constant: Good bands with one value only.
        empty: Bands, bad ones too, in which every value is "no data", NaN or infinite.
    """

    minimum: float
    maximum: float
    mean: float
    not_finite: float
    no_data: float
    constant: tuple[int, ...]
    empty: tuple[int, ...]


def statistics(cube: Cube) -> Statistics:
    """Read a cube once, a block of rows at a time, with sums in float64.

    Raises:
        DataError: The file is damaged.
    """
    height, width, bands = cube.shape
    low = np.full(bands, np.inf)
    high = np.full(bands, -np.inf)
    total = np.zeros(bands)
    counts = np.zeros(bands, np.int64)
    missing = np.zeros(bands, np.int64)
    for block in _blocks(cube):
        absent = _absent(cube, block)
        values = block.astype(np.float64)
        bad = absent | ~np.isfinite(values)
        low = np.minimum(low, np.where(bad, np.inf, values).min((0, 1)))
        high = np.maximum(high, np.where(bad, -np.inf, values).max((0, 1)))
        total += np.where(bad, 0, values).sum((0, 1))
        counts += (~bad).sum((0, 1))
        missing += absent.sum((0, 1))
    good = cube.good_bands
    pixels = height * width
    some = good[counts[good] > 0]
    finite = int(counts[good].sum())
    values_of_good = pixels * len(good)
    minimum = math.nan
    maximum = math.nan
    mean = math.nan
    if finite > 0:
        minimum = float(low[some].min())
        maximum = float(high[some].max())
        mean = float(total[good].sum() / finite)
    return Statistics(
        minimum=minimum,
        maximum=maximum,
        mean=mean,
        not_finite=(values_of_good - finite - int(missing[good].sum())) / max(values_of_good, 1),
        no_data=float(missing.sum() / (pixels * bands)),
        constant=tuple(some[low[some] == high[some]].tolist()),
        empty=tuple(np.flatnonzero(counts == 0).tolist()),
    )


def _blocks(cube: Cube) -> Iterator[NDArray[Any]]:
    height, width, bands = cube.shape
    rows = max(1, BLOCK_BYTES // (width * bands * 8))
    for first in range(0, height, rows):
        yield cube.read(slice(first, first + rows))


def _absent(cube: Cube, block: NDArray[Any]) -> NDArray[np.bool_]:
    if cube.ignore_value is None:
        return np.zeros(block.shape, bool)
    return equals(block, cube.ignore_value)
