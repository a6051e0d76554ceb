"""Fine histograms of each band and class, between cuts that a sample gives."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom_mrmr.bins import EvenBins, SearchedBins, cut_count, even_bins, quantile_cuts

# Values that are turned at a time, and bands whose values and counts then stay in the cache.
BLOCK = 1 << 22
GROUP = 4
# Rows that are counted in int32, which is faster, before they are added to the sums.
FULL = 1 << 30


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
    size = sum(cut_count(len(rows), count) for rows in (first, second))
    first, second = first.T.contiguous(), second.T.contiguous()
    start, scale, even = even_bins(first, second, size)
    values = EvenBins(start, scale, size).cuts()
    # A sample that holds all pixels gives cuts that count them exactly.
    even &= values[:, 0].isfinite() & (size == count)
    if len(rest := (~even).nonzero()[:, 0]):
        # NumPy's sort of plain numbers is four times as fast as torch's, which also gives places.
        first, second = (torch.from_numpy(np.sort(some[rest].numpy())) for some in (first, second))
        values[rest] = quantile_cuts(first, second, count)
    return Cuts(values, start, scale, even)


class ClassCounts:
    """How many values of each band and class lie between each two cuts.

    Bin i of a band counts the values from cut i - 1 on and below cut i; the first and the last
    bin take what lies beyond all cuts. Every comparison is exact.

    Args:
        cuts: The cuts of each band.
    """

    def __init__(self, cuts: Cuts) -> None:
        self.bands, self.size = cuts.values.shape
        device = cuts.values.device
        self._parts: list[tuple[Tensor | slice, Tensor, EvenBins | SearchedBins]] = []
        for chosen, even in ((cuts.even, True), (~cuts.even, False)):
            for bands in _groups(chosen, GROUP if device.type == "cpu" else self.bands):
                bins: EvenBins | SearchedBins = (
                    EvenBins(cuts.start[bands], cuts.scale[bands], self.size)
                    if even
                    else SearchedBins(cuts.values[bands])
                )
                first = (bands[:, None] * 2 * (self.size + 1)).int()
                self._parts.append((_slice(bands), first, bins))
        self._one = torch.ones(1, dtype=torch.int32, device=device)
        self._block = torch.zeros(
            self.bands * 2 * (self.size + 1), dtype=torch.int32, device=device
        )
        self._counts, self._waiting = self._block.long(), 0

    def update(self, rows: Tensor, positive: Tensor) -> None:
        """Take in finite ``rows`` (N, C) of classes ``positive``, bool (N,)."""
        step = max(BLOCK // self.bands, 1)
        offset = positive.int() * (self.size + 1)
        for start in range(0, len(rows), step):
            columns = rows[start : start + step].T.contiguous()
            labels = offset[start : start + step]
            for bands, first, bins in self._parts:
                places = bins.places(columns[bands]).add_(labels).add_(first)
                ones = self._one.expand(places.numel())
                self._block.index_add_(0, places.view(-1), ones)
            self._waiting += columns.shape[1]
            if self._waiting >= FULL:
                self._settle()

    def _settle(self) -> None:
        """Add what waits to the sums."""
        self._counts += self._block
        self._block.zero_()
        self._waiting = 0

    def fresh(self) -> ClassCounts:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other._block, other._waiting = torch.zeros_like(self._block), 0
        other._counts = torch.zeros_like(self._counts)
        return other

    def counts(self) -> Tensor:
        """The counts, int64 (2, C, M + 1)."""
        self._settle()
        return self._counts.view(self.bands, 2, self.size + 1).transpose(0, 1)

    def merge(self, counts: Tensor) -> None:
        """Take in the ``counts()`` of another one with the same cuts."""
        self.counts().add_(counts.to(self._counts))


def _groups(chosen: Tensor, size: int) -> tuple[Tensor, ...]:
    """The numbers of the ``chosen`` bands, bool (C,), at most ``size`` at a time."""
    bands = chosen.nonzero()[:, 0]
    return torch.split(bands, size) if len(bands) else ()


def _slice(bands: Tensor) -> Tensor | slice:
    """The same bands as a slice, which copies nothing, where they lie side by side."""
    first, last = int(bands[0]), int(bands[-1]) + 1
    return slice(first, last) if last - first == len(bands) else bands
