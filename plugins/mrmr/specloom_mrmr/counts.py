"""Fine histograms of each band, between cuts that a sample gives."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom_mrmr.bins import EvenBins, SearchedBins, cut_count, even_bins, quantile_cuts

# Values that are turned at a time, and bands whose values and counts then stay in the cache.
BLOCK = 1 << 21
GROUP = 8
# Rows that are counted in int32, which is faster and smaller, before they are added to int64.
FULL = 1 << 30
EVERY = slice(None)
# Bands whose samples are sorted at a time.
SORTED = 8


class Cuts(NamedTuple):
    """What the fine bins of each band lie between."""

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
    pairs = zip(torch.split(first, SORTED, 1), torch.split(second, SORTED, 1), strict=True)
    parts = [_cuts_of(one.T.contiguous(), other.T.contiguous(), count) for one, other in pairs]
    return Cuts(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _cuts_of(first: Tensor, second: Tensor, count: int) -> Cuts:
    """The same of samples (C, n)."""
    size = sum(cut_count(rows.shape[1], count) for rows in (first, second))
    start, scale, even = even_bins(first, second, size)
    values = EvenBins(start, scale, size).cuts()
    # A sample that holds all pixels gives cuts that count them exactly.
    even &= values[:, 0].isfinite() & (size == count)
    if len(rest := (~even).nonzero()[:, 0]):
        # NumPy's sort of plain numbers is four times as fast as torch's, which also gives places.
        first, second = (torch.from_numpy(np.sort(some[rest].numpy())) for some in (first, second))
        values[rest] = quantile_cuts(first, second, count)
    return Cuts(values, start, scale, even)


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
        group = GROUP if self._device.type == "cpu" else self.bands
        # Where each band of a group begins in the counts of the group.
        first = torch.arange(group, device=self._device, dtype=torch.int32)[:, None]
        first = first * (self.size + 1)
        self._parts: list[tuple[Tensor | slice, Tensor, EvenBins | SearchedBins]] = []
        for chosen, even in ((cuts.even, True), (~cuts.even, False)):
            for bands in _groups(chosen, group):
                bins: EvenBins | SearchedBins = (
                    EvenBins(cuts.start[bands], cuts.scale[bands], self.size)
                    if even
                    else SearchedBins(cuts.values[bands])
                )
                self._parts.append((_slice(bands), bins.first_place(first[: len(bands)]), bins))
        # Working memory that is kept: new memory costs as much time as the work in it.
        self._turned = torch.empty(max(BLOCK, self.bands), device=self._device)
        rows = len(self._turned) // self.bands
        self._places = torch.empty(group * rows, dtype=torch.int64, device=self._device)
        self._ones = torch.ones(group * rows, dtype=torch.int32, device=self._device)
        self._few = torch.zeros(group * (self.size + 1), dtype=torch.int32, device=self._device)
        self._start()

    def _start(self) -> None:
        shape = self.bands, self.size + 1
        self._block = torch.zeros(shape, dtype=torch.int32, device=self._device)
        self._sums: Tensor | None = None
        self._waiting = 0

    def fresh(self) -> Counts:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other._start()
        return other

    def update(self, rows: Tensor) -> None:
        """Take in finite ``rows`` (N, C)."""
        for part in torch.split(rows, len(self._turned) // self.bands):
            columns = self._turned[: part.numel()].view(self.bands, len(part)).copy_(part.T)
            for bands, first, bins in self._parts:
                found = bins.places(columns[bands], first).view(-1)
                # Counted in a small table that stays in the cache, then added in one sweep.
                few = self._few[: first.numel() * (self.size + 1)].zero_()
                places = self._places[: len(found)].copy_(found)
                few.scatter_add_(0, places, self._ones[: len(found)])
                self._block[bands] += few.view(-1, self.size + 1)
            self._waiting += len(part)
            if self._waiting >= FULL:
                self._sums = self.counts()
                self._block.zero_()
                self._waiting = 0

    def counts(self, bands: slice = EVERY) -> Tensor:
        """The counts, int64 (C, M + 1), or those of some bands."""
        waiting = self._block[bands]
        return waiting.long() if self._sums is None else waiting + self._sums[bands]

    def merge(self, counts: Tensor) -> None:
        """Take in the ``counts()`` of another one with the same cuts."""
        mine = counts.to(self._device)
        self._sums = mine.clone() if self._sums is None else self._sums + mine


def _groups(chosen: Tensor, size: int) -> tuple[Tensor, ...]:
    """The numbers of the ``chosen`` bands, bool (C,), at most ``size`` at a time."""
    bands = chosen.nonzero()[:, 0]
    return torch.split(bands, size) if len(bands) else ()


def _slice(bands: Tensor) -> Tensor | slice:
    """The same bands as a slice, which copies nothing, where they lie side by side."""
    first, last = int(bands[0]), int(bands[-1]) + 1
    return slice(first, last) if last - first == len(bands) else bands
