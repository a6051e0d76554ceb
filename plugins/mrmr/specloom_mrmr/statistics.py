"""Everything that is gathered of two classes in one pass: moments and fine histograms."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom_mrmr.counts import ClassCounts, Cuts
from specloom_mrmr.relevance import BandStatistics, auc, correlation, fisher, information, varies
from specloom_rx.moments import Moments

ROWS = 65536


class ClassStatistics:
    """Moments and histograms of each class, of rows that arrive in batches.

    Rows that are not finite in every band are left out and counted. Memory is that of the
    histograms and two C x C matrices, whatever the number of rows.

    Args:
        cuts: What the bins of the histograms lie between.
        limits: Lowest and highest value that the moments see, (2, C): what lies beyond counts as
            the limit; None for none.
    """

    def __init__(self, cuts: Cuts, limits: Tensor | None = None) -> None:
        self.cuts, self.limits, self.left_out = cuts, limits, 0
        self.counts = ClassCounts(cuts)
        self.moments = self._moments()

    def _moments(self) -> list[Moments]:
        cuts = self.cuts.values
        return [Moments(len(cuts), cuts.device) for _ in range(2)]

    def fresh(self) -> ClassStatistics:
        """An empty one with the same cuts, which takes no time to make."""
        other = copy.copy(self)
        other.counts, other.moments, other.left_out = self.counts.fresh(), self._moments(), 0
        return other

    def update(self, rows: Tensor, positive: Tensor, keep: Tensor | None = None) -> None:
        """Take in ``rows`` (N, C) of classes ``positive``, bool (N,).

        Args:
            rows: The pixels, float32.
            positive: The class of each.
            keep: Rows that count, bool (N,); None for all.
        """
        rows = rows.detach()
        for start in range(0, len(rows), ROWS):
            part, labels = rows[start : start + ROWS], positive[start : start + ROWS]
            if keep is not None and not bool((kept := keep[start : start + ROWS]).all()):
                self.left_out += len(part)
                part, labels = part[kept], labels[kept]
                self.left_out -= len(part)
            # A sum is finite only where all terms are; where it overflows, look closely.
            if not bool(part.sum(1).isfinite().all()):
                finite = part.isfinite().all(1)
                self.left_out += len(part)
                part, labels = part[finite], labels[finite]
                self.left_out -= len(part)
            if len(part):
                self._add(part, labels)

    def _add(self, part: Tensor, labels: Tensor) -> None:
        self.counts.update(part, labels)
        if self.limits is not None:
            part = part.clamp(*self.limits)
        places = labels.nonzero()[:, 0]
        if len(places) < len(labels):
            others = (~labels).nonzero()[:, 0]
            self.moments[0].update(part.index_select(0, others) if len(places) else part)
        if len(places):
            self.moments[1].update(part.index_select(0, places))

    def pixels(self) -> tuple[int, int]:
        """How many rows of each class were taken in."""
        return self.moments[0].count, self.moments[1].count

    def state(self) -> dict[str, Tensor]:
        """Everything gathered so far."""
        state = {"histograms": self.counts.counts(), "left_out": torch.tensor(self.left_out)}
        for label, moments in enumerate(self.moments):
            state |= {f"class{label}_{name}": part for name, part in moments.state().items()}
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one with the same cuts."""
        self.left_out += int(state["left_out"])
        self.counts.merge(state["histograms"])
        for label, moments in enumerate(self.moments):
            names = ("counts", "mean", "scatter")
            moments.merge({name: state[f"class{label}_{name}"] for name in names})

    def scores(self, bins: int) -> tuple[BandStatistics, Tensor]:
        """The scores, on the host, and which bands vary; ``bins`` are those of the information."""
        counts = self.counts.counts().cpu()
        cuts = self.cuts.values.cpu()
        found = BandStatistics(
            fisher(*self.moments).cpu(),
            *auc(counts, cuts),
            *information(counts, cuts, bins),
            correlation(*self.moments).cpu(),
        )
        return found, varies(*self.moments).cpu()
