"""The upper convex hull of spectra, of many pixels together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PooledContinuum:
    """The upper convex hull of spectra, of many rows together, on the CPU.

    The slopes of a hull are the falling regression of the slopes from band to band, weighted by
    their steps, which pooling of adjacent violators finds in one go over the bands. All rows are
    one sequence for it: the slopes of each row, scaled to a range of 1, lie 2 below those of the
    row before, so that no pool crosses two rows. The hull is then interpolated between its
    vertices.

    Source: T. Robertson, F. T. Wright, R. L. Dykstra, Order Restricted Statistical Inference, 1988.

    Args:
        positions: (C,), rising.
        rows: The largest number of rows.
    """

    def __init__(self, positions: NDArray[Any], rows: int) -> None:
        self._places = positions - positions[0]
        steps = np.diff(positions)
        self._inverse_steps = 1 / steps
        self._weights = np.tile(steps, rows)
        self._levels = 2.0 * np.arange(rows)[:, None]

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """The hull of each row of ``values`` at every position.

        Args:
            values: (N, C), float64, finite.
        """
        rows, bands = values.shape
        if bands < 3:
            return values.copy()
        # The negative slopes, as a rising regression needs no reversed copies.
        falls = values[:, :-1] - values[:, 1:]
        falls *= self._inverse_steps
        low = falls.min(1, keepdims=True)
        spread = falls.max(1, keepdims=True) - low
        factor = 1 / np.where(spread > 0, spread, 1)
        falls *= factor
        falls += self._levels[:rows] - low * factor
        weights = self._weights[: falls.size]
        fitted = isotonic_regression(falls.reshape(-1), weights=weights, increasing=True)
        return self._interpolate(values, fitted.blocks)

    def _interpolate(self, values: NDArray[Any], bounds: NDArray[np.intp]) -> NDArray[Any]:
        """The hull from the steps of all rows at which its segments start, and their number."""
        rows, bands = values.shape
        steps = bands - 1
        places = self._places
        heights = values.reshape(-1)
        starts = bounds[:-1]
        lengths = np.diff(bounds)
        row = starts // steps
        # The vertices at both ends of each segment, among all values and within their row.
        first = starts + row
        last = first + lengths
        start_band = starts - row * steps
        start_place = places[start_band]
        slope = (heights[last] - heights[first]) / (places[start_band + lengths] - start_place)
        intercept = heights[first] - slope * start_place
        hull = np.empty_like(values)
        inner = hull[:, :-1]
        np.multiply(np.repeat(slope, lengths).reshape(rows, steps), places[:-1], out=inner)
        inner += np.repeat(intercept, lengths).reshape(rows, steps)
        # Vertices exactly, so that their quotient is 1.
        hull.reshape(-1)[first] = heights[first]
        hull[:, -1] = values[:, -1]
        return hull


def continuum_by_slopes(values: Tensor, positions: Tensor) -> Tensor:
    """The upper convex hull of each row of ``values`` (N, C) at every position; differentiable.

    The slope from band k to the next is the smallest over i <= k of the largest over j > k of the
    slope from i to j. It takes more operations than a scan, but none waits for a device.

    Source: P. Groeneboom, G. Jongbloed, Nonparametric Estimation under Shape Constraints, 2014.

    Args:
        values: Float64.
        positions: (C,), rising.
    """
    bands = values.shape[1]
    if bands == 1:
        return values
    slopes = None
    for first in range(bands - 1):
        rise = values[:, first + 1 :] - values[:, first : first + 1]
        steepness = rise / (positions[first + 1 :] - positions[first])
        steepest = steepness.flip(1).cummax(1).values.flip(1)
        if slopes is None:
            slopes = steepest
        else:
            smaller = torch.minimum(slopes[:, first:], steepest)
            slopes = torch.cat([slopes[:, :first], smaller], 1)
    if slopes is None:
        return values
    climbed = (slopes * positions.diff()).cumsum(1)
    return torch.cat([values[:, :1], values[:, :1] + climbed], 1)
