"""Moments and fine histograms of two classes, in one pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_mrmr.counts import BLOCK, Counts, Cuts
from specloom_mrmr.relevance import (
    BandStatistics,
    auc,
    correlation,
    fisher,
    information,
    varying_bands_of,
)
from specloom_statistics import Moments

SUBSETS = ("whole", "rare")
"""The subsets of the rows, as named in a state: all rows, and those of the rarer class."""
# Bands whose histograms are scored at a time: float64 takes twice the memory of the counts.
SCORED = 4


class ClassStatistics:
    """Moments and histograms of two classes, of rows that arrive in batches.

    They are of all rows and of the rows of one class, which had better be the rarer one; the
    other class is the difference. Rows that are not finite in every band are excluded and
    counted. Memory is that of the histograms and two C x C matrices, whatever the number of rows.

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
        whole = Counts(cuts)
        self._histograms = [whole, whole.new_empty()]
        self._reset()

    def _reset(self) -> None:
        cuts = self.cuts.values
        self._moments = [Moments(len(cuts), cuts.device) for _ in SUBSETS]
        self._pending: list[Tensor] = []
        self.left_out = 0

    def new_empty(self) -> ClassStatistics:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other._histograms = [counts.new_empty() for counts in self._histograms]
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
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            labels = positive[start : start + step]
            size = len(part)
            if keep is not None:
                part, labels = _select(part, labels, keep[start : start + step])
            # A sum is finite only where all terms are; where it overflows, each row is checked.
            if not bool(part.sum().isfinite()):
                part, labels = _select(part, labels, usable_pixels(part))
            self.left_out += size - len(part)
            if len(part):
                self._add(0, part)
                is_rare = labels
                if not self.rare:
                    is_rare = ~labels
                places = is_rare.nonzero()[:, 0]
                self._add_rare(part.index_select(0, places))

    def _add_rare(self, rows: Tensor) -> None:
        """Collect rows of the rare class until there are enough: few at a time cost more."""
        self._pending.append(rows)
        if sum(part.numel() for part in self._pending) >= BLOCK // 16:
            self._flush()

    def _flush(self) -> None:
        """Add the pending rows of the rare class."""
        pending = self._pending
        self._pending = []
        if any(map(len, pending)):
            self._add(1, torch.cat(pending))

    def _add(self, subset: int, rows: Tensor) -> None:
        self._histograms[subset].update(rows)
        limited = rows if self.limits is None else rows.clamp(*self.limits)
        self._moments[subset].update(limited)

    def pixels(self) -> tuple[int, int]:
        """The number of rows of each class."""
        self._flush()
        whole, rare = (moments.count for moments in self._moments)
        return (whole - rare, rare) if self.rare else (rare, whole - rare)

    def state(self) -> dict[str, Tensor]:
        """The statistics so far."""
        self._flush()
        histograms = torch.stack([counts.counts() for counts in self._histograms])
        state = {"histograms": histograms, "left_out": torch.tensor(self.left_out)}
        for name, moments in zip(SUBSETS, self._moments, strict=True):
            for key, value in moments.state().items():
                state[f"{name}_{key}"] = value
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one with the same cuts."""
        self._flush()
        self.left_out += int(state["left_out"])
        for counts, other in zip(self._histograms, state["histograms"], strict=True):
            counts.merge(other)
        for name, moments in zip(SUBSETS, self._moments, strict=True):
            moments.merge({key: state[f"{name}_{key}"] for key in ("counts", "mean", "scatter")})

    def scores(self, bins: int) -> tuple[BandStatistics, Tensor]:
        """The scores, on the host, and which bands vary; ``bins`` are those of the information."""
        self._flush()
        whole, rare = self._moments
        parts = []
        for start in range(0, whole.channels, SCORED):
            bands = slice(start, start + SCORED)
            all_counts, rare_counts = (counts.counts(bands).cpu() for counts in self._histograms)
            classes = torch.stack([all_counts - rare_counts, rare_counts])
            cuts = self.cuts.values[bands].cpu()
            parts.append((*auc(classes, cuts), *information(classes, cuts, bins)))
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


def _select(rows: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The rows and labels in ``mask``, bool (N,); without a copy where that is all."""
    if bool(mask.all()):
        return rows, labels
    return rows[mask], labels[mask]
