"""The upper convex hull of spectra, of many pixels together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def continuum_by_scan(values: NDArray[Any], positions: NDArray[Any]) -> NDArray[Any]:
    """The upper convex hull of each column of ``values`` at every position, (C, N).

    A scan over the bands (A. M. Andrew, Information Processing Letters 9(5), 1979), of all columns
    together: band k becomes the last vertex of the hull so far, and vertices that then lie on or
    below a chord are dropped.

    Args:
        values: (C, N), float64.
        positions: (C,), rising.
    """
    before, slopes = _scan(values, positions)
    return _interpolate(values, positions, before, slopes)


def _scan(values: NDArray[Any], positions: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """The vertex before each band in the hull up to it, and the slope from there, (C, N)."""
    bands, columns = values.shape
    before = np.empty((bands, columns), np.intp)
    slopes = np.empty((bands, columns))
    # No vertex is dropped that begins the hull.
    slopes[0] = np.inf
    before[0] = 0
    for band in range(1, bands):
        slope = slopes[band]
        vertex = before[band]
        np.subtract(values[band], values[band - 1], out=slope)
        slope /= positions[band] - positions[band - 1]
        vertex[:] = band - 1
        dropped = np.flatnonzero(slope >= slopes[band - 1])
        last = np.full(len(dropped), band - 1)
        while len(dropped):
            last = before[last, dropped]
            rise = values[band, dropped] - values[last, dropped]
            steeper = rise / (positions[band] - positions[last])
            slope[dropped] = steeper
            vertex[dropped] = last
            again = steeper >= slopes[last, dropped]
            dropped = dropped[again]
            last = last[again]
    return before, slopes


def _interpolate(
    values: NDArray[Any],
    positions: NDArray[Any],
    before: NDArray[np.intp],
    slopes: NDArray[Any],
) -> NDArray[Any]:
    """The hull at every band, from the last one back to the first."""
    hull = np.empty_like(values)
    height = values[-1].copy()
    place = np.full(height.shape, positions[-1])
    slope = slopes[-1].copy()
    start = before[-1].copy()
    hull[-1] = height
    for band in range(len(values) - 2, -1, -1):
        part = hull[band]
        np.subtract(positions[band], place, out=part)
        part *= slope
        part += height
        vertex = start == band
        np.copyto(part, values[band], where=vertex)
        np.copyto(height, values[band], where=vertex)
        np.copyto(place, positions[band], where=vertex)
        np.copyto(slope, slopes[band], where=vertex)
        np.copyto(start, before[band], where=vertex)
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
