"""The upper convex hull of spectra, of many pixels together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Every how many bands a spectrum is sampled for the bound of its hull.
SAMPLE_STEP = 8
# In how many rounds points below the chords of their neighbours are excluded, before pooling.
ROUNDS = 12
# Over how many samples the chords reach that raise the bound, in turn.
CHORDS = (8, 4, 2, 1)
# How far below the bound a vertex may lie by the rounding of single precision, as a share of the
# largest sample, and where samples are too small for their digits.
MARGIN = 1e-5
LEAST_MARGIN = 1e-37


class HullScan:
    """The upper convex hull of spectra, of many rows together, on the CPU.

    Values below a bound of the hull are no vertices and are excluded first. Then those that are not
    above the chord of their neighbours are excluded, again and again. Spectra for which that takes
    many rounds are left to pooling. The hull is interpolated between its vertices.

    Args:
        positions: (C,), rising.
        rows: The largest number of rows.
    """

    def __init__(self, positions: NDArray[Any], rows: int) -> None:
        bands = len(positions)
        self._places = positions - positions[0]
        self._places_of_values = np.tile(self._places, rows)
        is_end = np.zeros((rows, bands), bool)
        is_end[:, 0] = True
        is_end[:, -1] = True
        self._is_end = is_end.reshape(-1)
        self._bound = HullBound(positions, rows)

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """The hull of each row of ``values`` at every position; of finite rows only.

        Args:
            values: (N, C), float64, contiguous.
        """
        if values.shape[1] < 3:
            return values.copy()
        with np.errstate(all="ignore"):
            vertices = self._vertices(values)
            return self._interpolate(vertices, values.shape)

    def _vertices(self, values: NDArray[Any]) -> Points:
        candidates = np.flatnonzero(self._bound.candidates(values))
        points = Points(
            candidates,
            values.reshape(-1).take(candidates),
            self._places_of_values.take(candidates),
            self._is_end.take(candidates),
        )
        for _ in range(ROUNDS):
            chosen = points.above_neighbours()
            if len(chosen) == len(points.indices):
                return points
            points = points.take(chosen)
        return points.take(pooled_vertices(points))

    def _interpolate(self, vertices: Points, shape: tuple[int, ...]) -> NDArray[Any]:
        """The hull from its vertices."""
        heights = vertices.heights
        slopes = vertices.slopes()
        intercepts = heights[:-1] - slopes * vertices.places[:-1]
        lengths = np.diff(vertices.indices)
        lengths[-1] += 1
        hull = np.repeat(slopes, lengths).reshape(shape)
        hull *= self._places
        hull += np.repeat(intercepts, lengths).reshape(shape)
        # Vertices exactly, so that their quotient is 1; the last of each row is in no segment.
        hull.reshape(-1)[vertices.indices] = heights
        return hull


class Points(NamedTuple):
    """Some values of the rows of a block, in one line, among them both ends of each row."""

    indices: NDArray[np.intp]
    """Among all values of the block."""
    heights: NDArray[Any]
    """The values."""
    places: NDArray[Any]
    """Where they lie, in nm from the first band."""
    is_end: NDArray[np.bool]
    """Whether they are the first or the last of a row."""

    def take(self, chosen: NDArray[np.intp]) -> Points:
        """Some of these points."""
        return Points(
            self.indices.take(chosen),
            self.heights.take(chosen),
            self.places.take(chosen),
            self.is_end.take(chosen),
        )

    def slopes(self) -> NDArray[Any]:
        """The slopes from each point to the next; without a meaning from row to row."""
        slopes: NDArray[Any] = self.heights[1:] - self.heights[:-1]
        slopes /= self.places[1:] - self.places[:-1]
        return slopes

    def above_neighbours(self) -> NDArray[np.intp]:
        """Which points are above the chord of their neighbours, or ends."""
        slopes = self.slopes()
        chosen = self.is_end.copy()
        chosen[1:-1] |= slopes[:-1] > slopes[1:]
        return np.flatnonzero(chosen)


def pooled_vertices(points: Points) -> NDArray[np.intp]:
    """Which points are vertices of the upper hull of their row, by pooling of adjacent violators.

    The slopes of a hull are the falling regression of the slopes from point to point, weighted by
    their steps. All rows are one sequence for it: the slopes of each row, scaled to a range of 1,
    lie 2 below those of the row before, and a slope between them stands for the step to the next
    row, so that no pool crosses two rows.

    Source: T. Robertson, F. T. Wright, R. L. Dykstra, Order Restricted Statistical Inference, 1988.

    Args:
        points: The points.
    """
    # The negative slopes, as a rising regression needs no reversed copies.
    falls = -points.slopes()
    steps = np.diff(points.places)
    between = np.flatnonzero(steps < 0)
    steps[between] = 1
    falls[between] = falls[between - 1]
    starts = np.concatenate([[0], between + 1])
    lengths = np.diff(starts, append=len(falls))
    low = np.minimum.reduceat(falls, starts)
    spread = np.maximum.reduceat(falls, starts) - low
    spread[spread <= 0] = 1
    falls -= np.repeat(low, lengths)
    falls *= np.repeat(1 / spread, lengths)
    # The range holds for values that are not numbers too.
    np.fmax(falls, 0, out=falls)
    np.fmin(falls, 1, out=falls)
    levels = 2.0 * np.arange(len(starts))
    falls += np.repeat(levels, lengths)
    falls[between] = levels[:-1] + 1.5
    vertices: NDArray[np.intp] = isotonic_regression(falls, weights=steps).blocks
    return vertices


class HullBound:
    """A lower bound of the upper hull of spectra, which few of their values exceed.

    Chords between samples of a spectrum are not above its hull. The bound at the samples is the
    highest of some chords, and between them it is linear, as the hull is concave. Computed in
    single precision, with a margin for its rounding.

    Args:
        positions: (C,), rising.
        rows: The largest number of rows.
    """

    def __init__(self, positions: NDArray[Any], rows: int) -> None:
        bands = len(positions)
        sampled = np.append(np.arange(0, bands - 1, SAMPLE_STEP), bands - 1)
        places = positions[sampled]
        units = np.eye(len(sampled))
        between = [np.interp(positions, places, unit) for unit in units]
        self._interpolation = np.array(between, np.float32)
        self._shares = {}
        for reach in CHORDS:
            if 2 * reach < len(sampled):
                left = places[: -2 * reach]
                share = (places[reach:-reach] - left) / (places[2 * reach :] - left)
                self._shares[reach] = share[:, None].astype(np.float32)
        self._single = np.empty((rows, bands), np.float32)
        self._bounds = np.empty((rows, bands), np.float32)
        self._may_be = np.empty((rows, bands), bool)
        self._samples = np.empty((len(sampled), rows), np.float32)

    def candidates(self, values: NDArray[Any]) -> NDArray[np.bool]:
        """Which values may be vertices: those that are not below the bound, and both ends.

        The next call overwrites the answer.

        Args:
            values: (N, C).
        """
        rows = len(values)
        single = self._single[:rows]
        np.copyto(single, values, casting="same_kind")
        samples = self._samples[:, :rows]
        samples[:-1] = single[:, :-1:SAMPLE_STEP].T
        samples[-1] = single[:, -1]
        margin = np.abs(samples).max(0) * np.float32(MARGIN) + np.float32(LEAST_MARGIN)
        for reach, share in self._shares.items():
            left = samples[: -2 * reach]
            chords = samples[2 * reach :] - left
            chords *= share
            chords += left
            inner = samples[reach:-reach]
            np.maximum(inner, chords, out=inner)
        samples -= margin
        bounds = np.matmul(samples.T, self._interpolation, out=self._bounds[:rows])
        # A bound that is not a number excludes nothing.
        may_be = self._may_be[:rows]
        np.less(single, bounds, out=may_be)
        np.logical_not(may_be, out=may_be)
        may_be[:, 0] = True
        may_be[:, -1] = True
        return may_be


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
