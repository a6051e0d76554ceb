"""From values to the fine bins of their bands: on an even grid, or between quantiles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# A grid of equal cells leads from a value to the few cuts near it; its size is a matter of speed.
CELLS = 16384
# Parts of the cuts at either end that the grid may leave outside, where outliers stretch it.
TRIMS = (0.0, 0.002, 0.02)
# An even grid is taken where the bound on the AUC that the samples promise is not above this.
PROMISED = 9e-5
# Single numbers by which a computed cut may miss the true one.
MISSES = 1
# From here to twice this float32 has the whole numbers alone, and its bits count them.
WHOLE = 2**23
WHOLE_BITS = 0x4B000000


class EvenBins:
    """Bins of one width, for bands whose values are spread well; the cheapest to compute.

    The whole number next to value * scale is read off the last bits of 2^23 + value * scale, where
    float32 has no others. Scaling first loses nothing to an offset, as value - low would.

    Args:
        first: The whole number of the first cut, (C, 1).
        scale: Bins per unit, (C, 1).
        size: M.
    """

    def __init__(self, first: Tensor, scale: Tensor, size: int) -> None:
        self._first = first
        self._scale = scale
        self._size = size
        self._shift = (WHOLE + 1) - first

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What a value is multiplied by, and what is added then, (C,)."""
        return self._scale[:, 0], self._shift[:, 0]

    def first_place(self, start: Tensor) -> Tensor:
        """What ``places`` must add so that the first bin of each band is at ``start``, (C, 1)."""
        return start - WHOLE_BITS

    def places(self, columns: Tensor, start: Tensor) -> Tensor:
        """The bins of (C, N) ``columns`` from ``start``, int32; never smaller for a larger value.

        It works in place: what was in ``columns`` is lost.
        """
        whole = columns.mul_(self._scale).add_(self._shift).clamp_(WHOLE, WHOLE + self._size)
        return whole.view(torch.int32).add_(start)

    def cuts(self) -> Tensor:
        """The smallest number of each bin but the first, (C, M); NaN in bands that have none."""
        number = torch.arange(1, self._size + 1, device=self._first.device)
        start = self.first_place(torch.zeros_like(self._first, dtype=torch.int32))
        cuts = ((self._first.double() + (number - 1.5)) / self._scale.double()).float()
        down = torch.full_like(cuts, -torch.inf)
        up = torch.full_like(cuts, torch.inf)
        for _ in range(MISSES):
            above = self.places(cuts.clone(), start) >= number
            cuts = torch.where(above, torch.nextafter(cuts, down), cuts)
        for _ in range(2 * MISSES):
            below = self.places(cuts.clone(), start) < number
            cuts = torch.where(below, torch.nextafter(cuts, up), cuts)
        below = self.places(torch.nextafter(cuts, down), start) < number
        exact = (below & (self.places(cuts.clone(), start) >= number)).all(1, keepdim=True)
        # Beyond these not every whole number is a float32.
        exact &= (self._first > -WHOLE) & (self._first + self._size < WHOLE)
        return torch.where(exact, cuts, torch.nan)


class SearchedBins:
    """Bins between any cuts: a grid leads to the cuts near a value, which are compared exactly.

    Args:
        cuts: Sorted, float32 (C, M).
    """

    def __init__(self, cuts: Tensor) -> None:
        bands, size = cuts.shape
        grid = min(_grids(cuts), key=lambda grid: grid.most)
        self._low = grid.low
        self._scale = grid.scale
        self._steps = [1 << power for power in reversed(range(grid.most.bit_length()))]
        # Room behind the last cut, so that a step beyond it stays in its band.
        self._stride = size + (1 << len(self._steps))
        spare = cuts.new_full((bands, self._stride - size), torch.inf)
        self._padded = torch.cat([cuts, spare], 1).view(-1)
        number = torch.arange(bands, dtype=torch.int32, device=cuts.device)[:, None]
        self._cell_offset = number * CELLS
        self._offset = number * self._stride
        before = _per_cell(grid.cells, bands).cumsum(1).roll(1, 1)
        before[:, 0] = 0
        self._start = (before.int() + self._offset).view(-1)

    def first_place(self, start: Tensor) -> Tensor:
        """What ``places`` must add so that the first bin of each band is at ``start``, (C, 1)."""
        return start - self._offset

    def places(self, columns: Tensor, start: Tensor) -> Tensor:
        """The number of cuts not above each value of (C, N) ``columns``, from ``start``, int32."""
        cells = _cells(columns, self._low, self._scale).add_(self._cell_offset)
        places = self._start.index_select(0, cells.view(-1))
        values = columns.view(-1)
        for step in self._steps:
            cut = self._padded.index_select(0, places + (step - 1))
            places.add_((cut <= values).int(), alpha=step)
        return places.view(columns.shape).add_(start)


def quantile_cuts(first: Tensor, second: Tensor, count: int) -> Tensor:
    """At most ``count`` cuts of each band, sorted, float32 (C, M): quantiles of both classes.

    A value that would be cut at twice gets a bin of its own: from itself to the next number that
    float32 has. So classes of at most ``count / 4`` sampled pixels, and values that many pixels
    share, are counted exactly.

    Args:
        first: The sample of one class, sorted, (C, n).
        second: That of the other.
        count: How many cuts.
    """
    cuts = torch.cat([_quantiles(ranked, count) for ranked in (first, second)], 1)
    cuts = torch.from_numpy(np.sort(cuts.numpy()))
    again = cuts[:, 1:] == cuts[:, :-1]
    following = torch.nextafter(cuts, torch.full_like(cuts, torch.inf))
    cuts[:, 1:] = torch.where(again, following[:, 1:], cuts[:, 1:])
    return cuts


def even_bins(first: Tensor, second: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """First cut and scale of even bins, (C, 1), and the bands in which they serve, bool (C,).

    It reaches over both samples, but for their outermost values, and serves where few pairs of
    both samples share a bin. Their share estimates that of all pixels without bias, as the
    samples are independent; four of its standard deviations are added.

    Args:
        first: The sample of one class, sorted, (C, n).
        second: That of the other.
        count: How many cuts.
    """
    first_low, first_high = _inner_range(first)
    second_low, second_high = _inner_range(second)
    low = torch.minimum(first_low, second_low)
    high = torch.maximum(first_high, second_high)
    scale = _scale(low, high, count)
    low = (low * scale).round()
    bins = EvenBins(low, scale, count)
    start = bins.first_place((torch.arange(len(low))[:, None] * (count + 1)).int())
    counts = []
    for sample in (first, second):
        places = bins.places(sample.clone(), start)
        filled = torch.bincount(places.view(-1), minlength=len(low) * (count + 1))
        counts.append(filled.view(len(low), -1).double())
    together = (counts[0] * counts[1]).sum(1)
    likely = together + 4 * together.sqrt()
    return low, scale, likely / (2 * first.shape[1] * second.shape[1]) <= PROMISED


def _inner_range(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest value but for the outermost ones, (C, 1), of a sorted sample (C, n)."""
    size = sample.shape[1]
    outer = size // 500
    return sample[:, outer, None], sample[:, size - 1 - outer, None]


def cut_count(size: int, count: int) -> int:
    """How many of ``count`` cuts come from a class of ``size`` sampled pixels."""
    return min(count // 2, 2 * size)


def _quantiles(ranked: Tensor, count: int) -> Tensor:
    size = ranked.shape[1]
    count = cut_count(size, count)
    return ranked[:, (torch.arange(count) * 2 + 1) * size // (2 * count)]


class _Grid(NamedTuple):
    """Cells of one width, which lead to the cuts near a value."""

    low: Tensor
    """The lowest value, (C, 1)."""
    scale: Tensor
    """Cells per unit, (C, 1)."""
    cells: Tensor
    """The cell of each cut, (C, M)."""
    most: int
    """The most cuts in one cell."""


def _grids(cuts: Tensor) -> list[_Grid]:
    """A grid for each trim."""
    grids = []
    last = cuts.shape[1] - 1
    for trim in TRIMS:
        skip = int(trim * last)
        low = cuts[:, skip, None]
        scale = _scale(low, cuts[:, last - skip, None], CELLS)
        cells = _cells(cuts, low, scale)
        most = int(_per_cell(cells, len(cuts)).max())
        grids.append(_Grid(low, scale, cells, most))
    return grids


def _scale(low: Tensor, high: Tensor, count: int) -> Tensor:
    span = high - low
    return torch.where(span > 0, count / span, 1).clamp(1e-30, 1e30)


def _cells(columns: Tensor, low: Tensor, scale: Tensor) -> Tensor:
    """The cell of each value, int32 (C, N): never smaller for a larger value."""
    return (columns - low).mul_(scale).clamp_(0, CELLS - 1).to(torch.int32)


def _per_cell(cells: Tensor, bands: int) -> Tensor:
    offset = torch.arange(bands, device=cells.device)[:, None] * CELLS
    return torch.bincount((cells + offset).view(-1), minlength=bands * CELLS).view(bands, CELLS)
