"""Moments and fine histograms of two classes, in one pass."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from specloom.torch import map_blocks, no_memory, reduce_blocks, usable_pixels
from specloom_mrmr.counts import ALL_BANDS, BLOCK, Counts, Cuts
from specloom_mrmr.relevance import (
    BandStatistics,
    auc,
    correlation,
    fisher,
    information,
    varying_bands_of,
)
from specloom_statistics import Moments, native_kernels

SUBSETS = ("whole", "rare")
"""The subsets of the rows, as named in a state: all rows, and those of the rarer class."""
# Bands whose histograms are scored at a time: float64 takes twice the memory of the counts.
SCORED = 4
# Bytes of what several threads count in together, and of what one of them needs besides.
THREADS_MEMORY = 1 << 28
WORKING_MEMORY = 1 << 24
BYTES_OF_COUNT = 4
# Rows that a shift is looked for in at a time.
SHIFT_ROWS = 1024
# The rows of the rarer class among so many times as many are looked for first.
FIRST_PARTS = 64


class _ThreadCounts:
    """The histograms that one thread counts: of all rows, and of those of the rarer class.

    Args:
        whole: Empty counts; those of the rarer class share their memory.
    """

    def __init__(self, whole: Counts) -> None:
        self.histograms = [whole, whole.new_empty()]
        self._pending: list[Tensor] = []
        self._kernel: Any = None

    def new_empty(self) -> _ThreadCounts:
        """An empty one in the same memory."""
        return _ThreadCounts(self.histograms[0].new_empty())

    def new_for_thread(self) -> _ThreadCounts:
        """An empty one for another thread."""
        return _ThreadCounts(self.histograms[0].new_for_thread())

    def update(self, rows: Tensor, rare: Tensor) -> None:
        """Count rows, and collect those of the rarer class until there are enough.

        Few rows at a time cost more.
        """
        self.histograms[0].update(rows)
        self._pending.append(rare)
        if sum(part.numel() for part in self._pending) >= BLOCK // 16:
            self.flush()

    def update_natively(
        self, kernels: ModuleType, rows: Tensor, used: Tensor, rare: Tensor
    ) -> None:
        """Count the rows in ``used``, and those of the rarer class in ``rare``, bool (N,)."""
        whole = self.histograms[0]
        if self._kernel is None:
            self._kernel = kernels.Histograms(*whole.even_grid(), whole.size + 1)
        bands = self._kernel.bands
        tables = [counts.recent_counts(bands) for counts in self.histograms]
        self._kernel(rows, used, rare, *tables)
        for counts, table in zip(self.histograms, tables, strict=True):
            counts.set_recent_counts(bands, table, len(rows))
        if len(bands) < whole.bands:
            for counts, selected in zip(self.histograms, (used, rare), strict=True):
                counts.update(rows[selected], searched_only=True)

    def flush(self) -> None:
        """Count the rows that were collected."""
        pending = self._pending
        self._pending = []
        if any(map(len, pending)):
            self.histograms[1].update(torch.cat(pending))


class _Part(NamedTuple):
    """What is summed of some rows."""

    moments: list[Moments]
    """Of each subset."""
    left_out: int


def _merge_parts(parts: Sequence[_Part]) -> _Part:
    first, *others = parts
    left_out = first.left_out
    for other in others:
        left_out += other.left_out
        for mine, added in zip(first.moments, other.moments, strict=True):
            mine.add_part(added)
    return _Part(first.moments, left_out)


class ClassStatistics:
    """Moments and histograms of two classes, of rows that arrive in batches.

    They are of all rows and of the rows of one class, which had better be the rarer one; the
    other class is the difference. Rows that are not finite in every band are excluded and
    counted. Memory is that of the histograms, for each thread, and of C x C matrices, whatever the
    number of rows.

    Args:
        cuts: The cuts between the bins of the histograms.
        limits: Lowest and highest value for the moments, (2, C): what lies beyond counts as the
            limit; None for none.
        rare: The class that has statistics of its own.
    """

    def __init__(self, cuts: Cuts, limits: Tensor | None = None, rare: bool = True) -> None:
        self.cuts = cuts
        self.limits = limits
        self.rare = rare
        self._threads = [_ThreadCounts(Counts(cuts))]
        self._reset()

    def _reset(self) -> None:
        cuts = self.cuts.values
        self._moments = [Moments(len(cuts), cuts.device) for _ in SUBSETS]
        self._idle = deque(self._threads)
        self.left_out = 0

    def new_empty(self) -> ClassStatistics:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other._threads = [counts.new_empty() for counts in self._threads]
        other._reset()
        return other

    def update(self, rows: Tensor, positive: Tensor, keep: Tensor | None = None) -> None:
        """Add ``rows`` (N, C) of classes ``positive``, bool (N,).

        Args:
            rows: The pixels, float32.
            positive: The class of each.
            keep: The rows to use, bool (N,); None for all.
        """
        rows = rows.detach()
        step = max(BLOCK // rows.shape[1], 1)
        parts = [slice(start, start + step) for start in range(0, len(rows), step)]
        if not parts:
            return
        self._find_shifts(rows, positive, keep)
        used: list[_ThreadCounts] = []

        def borrow() -> _ThreadCounts:
            counts = self._borrow_counts()
            used.append(counts)
            return counts

        def update_part(number: int, counts: _ThreadCounts) -> _Part:
            part = parts[number]
            return self._update_part(
                rows[part], positive[part], None if keep is None else keep[part], counts
            )

        histograms = 2 * self.cuts.values.numel() * BYTES_OF_COUNT
        most = max(THREADS_MEMORY // (histograms + WORKING_MEMORY), 1)
        total = reduce_blocks(update_part, len(parts), borrow, _merge_parts, most)
        self._idle.extend(used)
        self.left_out += total.left_out
        for moments, added in zip(self._moments, total.moments, strict=True):
            moments.add_part(added)

    def _borrow_counts(self) -> _ThreadCounts:
        try:
            return self._idle.pop()
        except IndexError:
            counts = self._threads[0].new_for_thread()
            self._threads.append(counts)
            return counts

    def _update_part(
        self, rows: Tensor, positive: Tensor, keep: Tensor | None, counts: _ThreadCounts
    ) -> _Part:
        size = len(rows)
        kernels = None
        if rows.dtype == torch.float32:
            kernels = native_kernels(rows.device)
        if kernels is not None:
            return self._update_natively(kernels, rows, positive, keep, counts)
        if keep is not None:
            rows, positive = _select(rows, positive, keep)
        # A sum is finite only where all terms are; where it overflows, each row is checked.
        if not bool(rows.sum().isfinite()):
            rows, positive = _select(rows, positive, usable_pixels(rows))
        moments = [one.new_part() for one in self._moments]
        if len(rows):
            rare = rows.index_select(0, self._is_rare(positive).nonzero()[:, 0])
            counts.update(rows, rare)
            for part, subset in zip(moments, (rows, rare), strict=True):
                part.update(self._limited(subset))
        return _Part(moments, size - len(rows))

    def _update_natively(
        self,
        kernels: ModuleType,
        rows: Tensor,
        positive: Tensor,
        keep: Tensor | None,
        counts: _ThreadCounts,
    ) -> _Part:
        used, count = kernels.usable_rows(rows, keep)
        moments = [one.new_part() for one in self._moments]
        if count:
            rare = used & self._is_rare(positive)
            counts.update_natively(kernels, rows, used, rare)
            limits = None
            if self.limits is not None:
                limits = self.limits[0], self.limits[1]
            for part, subset in zip(moments, (used, rare), strict=True):
                part.update_block(rows, subset, limits=limits)
        return _Part(moments, len(rows) - count)

    def _is_rare(self, positive: Tensor) -> Tensor:
        return positive if self.rare else ~positive

    def _limited(self, rows: Tensor) -> Tensor:
        return rows if self.limits is None else rows.clamp(*self.limits)

    def _find_shifts(self, rows: Tensor, positive: Tensor, keep: Tensor | None) -> None:
        """Let the moments have their shifts before threads sum parts of the rows."""
        whole, rare = self._moments
        used = torch.ones_like(positive) if keep is None else keep
        for moments, subset in ((whole, used), (rare, used & self._is_rare(positive))):
            if moments.has_shift:
                continue
            for some in _places(subset):
                candidates = rows.index_select(0, some)
                finite = candidates[usable_pixels(candidates)]
                if moments.find_shift(self._limited(finite)):
                    break

    def pixels(self) -> tuple[int, int]:
        """The number of rows of each class."""
        whole, rare = (moments.count for moments in self._moments)
        return (whole - rare, rare) if self.rare else (rare, whole - rare)

    def _counts(self, bands: slice = ALL_BANDS) -> list[Tensor]:
        """The histograms of each subset, int64 (C, M + 1), or those of some bands."""
        first, *others = self._threads
        totals = [counts.counts(bands) for counts in first.histograms]
        for other in others:
            for total, counts in zip(totals, other.histograms, strict=True):
                total += counts.counts(bands)
        return totals

    def _flush(self) -> None:
        for counts in self._threads:
            counts.flush()

    def state(self) -> dict[str, Tensor]:
        """The statistics so far."""
        self._flush()
        histograms = torch.stack(self._counts())
        state = {"histograms": histograms, "left_out": torch.tensor(self.left_out)}
        for name, moments in zip(SUBSETS, self._moments, strict=True):
            for key, value in moments.state().items():
                state[f"{name}_{key}"] = value
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one with the same cuts."""
        self.left_out += int(state["left_out"])
        histograms = self._threads[0].histograms
        for counts, other in zip(histograms, state["histograms"], strict=True):
            counts.merge(other)
        for name, moments in zip(SUBSETS, self._moments, strict=True):
            moments.merge({key: state[f"{name}_{key}"] for key in ("counts", "mean", "scatter")})

    def scores(self, bins: int) -> tuple[BandStatistics, Tensor]:
        """The scores, on the host, and which bands vary; ``bins`` are those of the information."""
        self._flush()
        whole, rare = self._moments
        starts = range(0, whole.channels, SCORED)

        def some_scores(number: int, _: None) -> tuple[Tensor, ...]:
            bands = slice(starts[number], starts[number] + SCORED)
            all_counts, rare_counts = (counts.cpu() for counts in self._counts(bands))
            classes = torch.stack([all_counts - rare_counts, rare_counts])
            cuts = self.cuts.values[bands].cpu()
            return (*auc(classes, cuts), *information(classes, cuts, bins))

        parts = map_blocks(some_scores, len(starts), no_memory)
        areas, bounds, bits, edges = (torch.cat(part) for part in zip(*parts, strict=True))
        statistics = BandStatistics(
            fisher=fisher(whole, rare).cpu(),
            auc=areas,
            auc_bound=bounds,
            information=bits,
            edges=edges,
            correlation=correlation(whole).cpu(),
        )
        return statistics, varying_bands_of(whole).cpu()


def _places(mask: Tensor) -> Iterator[Tensor]:
    """The numbers of the elements that are true, ``SHIFT_ROWS`` at a time.

    The first ones are looked for near the beginning, as they nearly always suffice.
    """
    first = mask[: FIRST_PARTS * SHIFT_ROWS].nonzero()[:SHIFT_ROWS, 0]
    found = 0
    if len(first) == SHIFT_ROWS:
        yield first
        found = SHIFT_ROWS
    yield from torch.split(mask.nonzero()[found:, 0], SHIFT_ROWS)


def _select(rows: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The rows and labels in ``mask``, bool (N,); without a copy where that is all."""
    if bool(mask.all()):
        return rows, labels
    return rows[mask], labels[mask]
