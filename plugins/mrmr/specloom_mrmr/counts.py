"""Fine histograms of each band, between cuts that a sample gives."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom.torch import map_blocks, no_memory
from specloom_mrmr.bins import EvenBins, SearchedBins, cut_count, even_bins, quantile_cuts

# Values that are transposed at a time, and bands whose values and counts then stay in the cache.
BLOCK = 1 << 21
GROUP_BANDS = 8
# Rows that are counted in int32, which is faster and smaller, before they are added to int64.
FULL = 1 << 30
ALL_BANDS = slice(None)
# Bands whose samples are sorted at a time.
SORTED_BANDS = 8


class Cuts(NamedTuple):
    """The cuts between the fine bins of each band."""

    values: Tensor
    """Sorted, float32 (C, M)."""
    start: Tensor
    """Of even bins, (C, 1)."""
    scale: Tensor
    """Of even bins, (C, 1)."""
    even: Tensor
    """The bands whose cuts are those of an even grid, bool (C,)."""

    def to(self, device: torch.device | str) -> Cuts:
        """The same on a device."""
        return Cuts(*(part.to(device) for part in self))


def cuts_of(first: Tensor, second: Tensor, count: int) -> Cuts:
    """Cuts of each band: an even grid where that is fine enough, else quantiles of both classes.

    Args:
        first: The sample of one class, (n, C).
        second: That of the other.
        count: How many cuts at most.
    """
    starts = range(0, first.shape[1], SORTED_BANDS)
    samples = (first, second)

    def transpose(number: int, _: None) -> Tensor:
        return samples[number].T.contiguous()

    # In one piece this takes a third of the time.
    first_columns, second_columns = map_blocks(transpose, len(samples), no_memory)

    def some_cuts(number: int, _: None) -> Cuts:
        bands = slice(starts[number], starts[number] + SORTED_BANDS)
        return _column_cuts(_sorted(first_columns[bands]), _sorted(second_columns[bands]), count)

    parts = map_blocks(some_cuts, len(starts), no_memory)
    return Cuts(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _sorted(columns: Tensor) -> Tensor:
    """The values of each band of (C, n) in rising order."""
    # NumPy's sort of plain numbers is four times as fast as torch's, which also gives places.
    return torch.from_numpy(np.sort(columns.numpy()))


def _column_cuts(first: Tensor, second: Tensor, count: int) -> Cuts:
    """The same of sorted samples (C, n)."""
    size = sum(cut_count(rows.shape[1], count) for rows in (first, second))
    start, scale, even = even_bins(first, second, size)
    values = EvenBins(start, scale, size).cuts()
    # A sample that holds all pixels gives cuts that count them exactly.
    even &= values[:, 0].isfinite() & (size == count)
    uneven = (~even).nonzero()[:, 0]
    if len(uneven):
        values[uneven] = quantile_cuts(first[uneven], second[uneven], count)
    return Cuts(values, start, scale, even)


class _Group(NamedTuple):
    """Bands that are counted together."""

    bands: Tensor | slice
    first: Tensor
    """The place of the first bin of each band, (bands, 1)."""
    bins: EvenBins | SearchedBins


class Counts:
    """How many values of each band lie between each two cuts.

    Bin i of a band counts the values from cut i - 1 on and below cut i; the first and the last
    bin take what lies beyond all cuts. Every comparison is exact.

    Args:
        cuts: The cuts of each band.
    """

    def __init__(self, cuts: Cuts) -> None:
        self.bands, self.size = cuts.values.shape
        self._device = cuts.values.device
        group = GROUP_BANDS if self._device.type == "cpu" else self.bands
        # Where each band of a group begins in the counts of the group.
        first = torch.arange(group, device=self._device, dtype=torch.int32)[:, None]
        first = first * (self.size + 1)
        self._groups: list[_Group] = []
        for bands in _band_groups(cuts.even, group):
            even = EvenBins(cuts.start[bands], cuts.scale[bands], self.size)
            self._add_group(bands, even, first)
        for bands in _band_groups(~cuts.even, group):
            self._add_group(bands, SearchedBins(cuts.values[bands]), first)
        self._allocate(group)
        self._reset()

    def _allocate(self, group: int) -> None:
        """Make working memory that is used again: new memory costs as much time as the work."""
        self._columns = torch.empty(max(BLOCK, self.bands), device=self._device)
        rows = len(self._columns) // self.bands
        self._places = torch.empty(group * rows, dtype=torch.int64, device=self._device)
        self._ones = torch.ones(group * rows, dtype=torch.int32, device=self._device)
        self._table = torch.zeros(group * (self.size + 1), dtype=torch.int32, device=self._device)

    def _add_group(self, bands: Tensor, bins: EvenBins | SearchedBins, first: Tensor) -> None:
        self._groups.append(_Group(_as_slice(bands), bins.first_place(first[: len(bands)]), bins))

    def _reset(self) -> None:
        shape = self.bands, self.size + 1
        self._recent = torch.zeros(shape, dtype=torch.int32, device=self._device)
        self._recent_rows = 0
        self._sums: Tensor | None = None

    def new_empty(self) -> Counts:
        """An empty one with the same cuts and memory, which takes no time to make."""
        other = copy.copy(self)
        other._reset()
        return other

    def new_for_thread(self) -> Counts:
        """An empty one with the same cuts, which another thread may update."""
        other = self.new_empty()
        other._allocate(len(self._table) // (self.size + 1))
        return other

    def update(self, rows: Tensor, *, searched_only: bool = False) -> None:
        """Add finite ``rows`` (N, C).

        Args:
            rows: The rows.
            searched_only: Only the bands whose bins are no even grid.
        """
        groups = self._groups
        if searched_only:
            groups = [group for group in groups if isinstance(group.bins, SearchedBins)]
        for part in torch.split(rows, len(self._columns) // self.bands):
            if not groups:
                break
            columns = self._columns[: part.numel()].view(self.bands, len(part)).copy_(part.T)
            for bands, first, bins in groups:
                in_bins = bins.places(columns[bands], first).view(-1)
                # Counted in a small table that stays in the cache, then added in one sweep.
                table = self._table[: first.numel() * (self.size + 1)].zero_()
                places = self._places[: len(in_bins)].copy_(in_bins)
                table.scatter_add_(0, places, self._ones[: len(in_bins)])
                self._recent[bands] += table.view(-1, self.size + 1)
            if not searched_only:
                self._rows_counted(len(part))

    def _rows_counted(self, rows: int) -> None:
        """Move the recent counts into int64 before int32 overflows."""
        self._recent_rows += rows
        if self._recent_rows >= FULL:
            self._sums = self.counts()
            self._recent.zero_()
            self._recent_rows = 0

    def even_grid(self) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the bands with even bins, and the scale and shift of each, (K,)."""
        numbers = torch.arange(self.bands)
        empty = torch.zeros(0)
        parts = [(numbers[:0], empty, empty)]
        for group in self._groups:
            if isinstance(group.bins, EvenBins):
                parts.append((numbers[group.bands], *group.bins.scale_and_shift()))
        bands, scale, shift = (torch.cat(part) for part in zip(*parts, strict=True))
        return bands, scale, shift

    def recent_counts(self, bands: Tensor) -> Tensor:
        """The counts of some bands to add to, int32; a copy unless these are all bands."""
        return self._recent if len(bands) == self.bands else self._recent[bands]

    def set_recent_counts(self, bands: Tensor, counts: Tensor, rows: int) -> None:
        """Take counts that were added to, for so many more rows."""
        if len(bands) < self.bands:
            self._recent[bands] = counts
        self._rows_counted(rows)

    def counts(self, bands: slice = ALL_BANDS) -> Tensor:
        """The counts, int64 (C, M + 1), or those of some bands."""
        recent = self._recent[bands]
        return recent.long() if self._sums is None else recent + self._sums[bands]

    def merge(self, counts: Tensor) -> None:
        """Add the ``counts()`` of another one with the same cuts."""
        other = counts.to(self._device)
        self._sums = other.clone() if self._sums is None else self._sums + other


def _band_groups(chosen: Tensor, size: int) -> tuple[Tensor, ...]:
    """The numbers of the ``chosen`` bands, bool (C,), at most ``size`` at a time."""
    bands = chosen.nonzero()[:, 0]
    return torch.split(bands, size) if len(bands) else ()


def _as_slice(bands: Tensor) -> Tensor | slice:
    """The same bands as a slice, which copies nothing, where they lie side by side."""
    first = int(bands[0])
    end = int(bands[-1]) + 1
    return slice(first, end) if end - first == len(bands) else bands
