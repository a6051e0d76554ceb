"""Everything that is gathered of two classes in one pass: moments and fine histograms."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom_mrmr.counts import BLOCK, Counts, Cuts
from specloom_mrmr.relevance import BandStatistics, auc, correlation, fisher, information, varies
from specloom_statistics import Moments

PARTS = ("whole", "rare")
"""What is gathered, as named in a state: all rows, and those of the rarer class."""
# Bands whose histograms are scored at a time: float64 takes twice the memory of the counts.
SCORED = 4


class ClassStatistics:
    """Moments and histograms of two classes, of rows that arrive in batches.

    They are gathered of all rows and of those of one class, which had better be the rarer one;
    the other class is the difference. Rows that are not finite in every band are left out and
    counted. Memory is that of the histograms and two C x C matrices, whatever the number of rows.

    Args:
        cuts: What the bins of the histograms lie between.
        limits: Lowest and highest value that the moments see, (2, C): what lies beyond counts as
            the limit; None for none.
        rare: The class that is gathered by itself.
    """

    def __init__(self, cuts: Cuts, limits: Tensor | None = None, rare: bool = True) -> None:
        self.cuts, self.limits, self.rare = cuts, limits, rare
        self._histograms = [counts := Counts(cuts), counts.fresh()]
        self._start()

    def _start(self) -> None:
        cuts = self.cuts.values
        self._moments = [Moments(len(cuts), cuts.device) for _ in range(2)]
        self._waiting: list[Tensor] = []
        self.left_out = 0

    def fresh(self) -> ClassStatistics:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other._histograms = [counts.fresh() for counts in self._histograms]
        other._start()
        return other

    def update(self, rows: Tensor, positive: Tensor, keep: Tensor | None = None) -> None:
        """Take in ``rows`` (N, C) of classes ``positive``, bool (N,).

        Args:
            rows: The pixels, float32.
            positive: The class of each.
            keep: Rows that count, bool (N,); None for all.
        """
        rows, step = rows.detach(), max(BLOCK // rows.shape[1], 1)
        for start in range(0, len(rows), step):
            part, labels = rows[start : start + step], positive[start : start + step]
            if keep is not None and not bool((kept := keep[start : start + step]).all()):
                self.left_out += len(part)
                part, labels = part[kept], labels[kept]
                self.left_out -= len(part)
            # A sum is finite only where all terms are; where it overflows, look closely.
            if not bool(part.sum().isfinite()):
                finite = part.isfinite().all(1)
                self.left_out += len(part)
                part, labels = part[finite], labels[finite]
                self.left_out -= len(part)
            if len(part):
                self._add(0, part)
                places = (labels if self.rare else ~labels).nonzero()[:, 0]
                self._wait(part.index_select(0, places))

    def _wait(self, rows: Tensor) -> None:
        """Keep rows of the rare class until there are enough: few at a time cost more."""
        self._waiting.append(rows)
        if sum(some.numel() for some in self._waiting) >= BLOCK // 16:
            self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        if sum(map(len, waiting)):
            self._add(1, torch.cat(waiting))

    def _add(self, which: int, rows: Tensor) -> None:
        self._histograms[which].update(rows)
        limited = rows if self.limits is None else rows.clamp(*self.limits)
        self._moments[which].update(limited)

    def pixels(self) -> tuple[int, int]:
        """How many rows of each class were taken in."""
        self._settle()
        whole, rare = (moments.count for moments in self._moments)
        return (whole - rare, rare) if self.rare else (rare, whole - rare)

    def state(self) -> dict[str, Tensor]:
        """Everything gathered so far."""
        self._settle()
        histograms = torch.stack([counts.counts() for counts in self._histograms])
        state = {"histograms": histograms, "left_out": torch.tensor(self.left_out)}
        for name, moments in zip(PARTS, self._moments, strict=True):
            state |= {f"{name}_{key}": part for key, part in moments.state().items()}
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one with the same cuts."""
        self._settle()
        self.left_out += int(state["left_out"])
        for counts, theirs in zip(self._histograms, state["histograms"], strict=True):
            counts.merge(theirs)
        for name, moments in zip(PARTS, self._moments, strict=True):
            moments.merge({key: state[f"{name}_{key}"] for key in ("counts", "mean", "scatter")})

    def scores(self, bins: int) -> tuple[BandStatistics, Tensor]:
        """The scores, on the host, and which bands vary; ``bins`` are those of the information."""
        self._settle()
        whole, rare = self._moments
        parts = []
        for start in range(0, whole.channels, SCORED):
            bands = slice(start, start + SCORED)
            every, some = (counts.counts(bands).cpu() for counts in self._histograms)
            classes, cuts = torch.stack([every - some, some]), self.cuts.values[bands].cpu()
            parts.append((*auc(classes, cuts), *information(classes, cuts, bins)))
        areas, bounds, bits, edges = (torch.cat(part) for part in zip(*parts, strict=True))
        scores = fisher(whole, rare).cpu()
        found = BandStatistics(scores, areas, bounds, bits, edges, correlation(whole).cpu())
        return found, varies(whole).cpu()
