"""What the pixels of a stage were scored and decided, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 2_000_000  # scores that are kept of each class, 4 bytes each

Pixels = NDArray[Any]


class Sample:
    """Counts and scores of images, one after the other.

    Counts are exact. Of the scores all are kept up to ``most`` for each class, and then every
    second, fourth and so on in the order of the pixels: anomalies are few and are not thinned
    because the background is large.

    Args:
        most: How many scores of each class are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.counts: list[tuple[int, int, int, int, int]] = []
        #: By class (normal, anomalous): the scores kept of each image, and of how many one.
        self.scores: tuple[list[Pixels], list[Pixels]] = ([], [])
        self.strides = [1, 1]
        self._kept = [0, 0]
        self.lowest_decided, self.highest_undecided = np.inf, -np.inf

    def __len__(self) -> int:
        return len(self.counts)

    def add(
        self, decisions: Pixels, targets: Pixels, scores: Pixels | None, valid: Pixels | None
    ) -> None:
        """Take in a batch, each (B, H, W, 1); what is not valid or of score NaN is left out."""
        for i in range(len(decisions)):
            counts = np.ones(decisions[i].shape, bool) if valid is None else valid[i]
            if scores is not None:
                counts = counts & ~np.isnan(scores[i])
            decided, anomalous = decisions[i] & counts, targets[i] & counts
            parts = (decided & anomalous, decided, anomalous, counts)
            hits, chosen, bad, used = (int(np.count_nonzero(part)) for part in parts)
            self.counts.append((hits, chosen, bad, used, counts.size - used))
            if scores is not None:
                self._add_scores(scores[i], decided, anomalous, counts)

    def _add_scores(
        self, scores: Pixels, decided: Pixels, anomalous: Pixels, counts: Pixels
    ) -> None:
        lowest = np.min(scores, initial=np.inf, where=decided)
        highest = np.max(scores, initial=-np.inf, where=counts & ~decided)
        self.lowest_decided = min(self.lowest_decided, float(lowest))
        self.highest_undecided = max(self.highest_undecided, float(highest))
        for kind, which in enumerate((counts & ~anomalous, anomalous)):
            kept = self.scores[kind]
            kept.append(scores[which][:: self.strides[kind]].astype(np.float32))
            self._kept[kind] += len(kept[-1])
            while self._kept[kind] > self._most:
                kept[:] = [one[::2].copy() for one in kept]
                self.strides[kind] *= 2
                before, self._kept[kind] = self._kept[kind], sum(map(len, kept))
                if self._kept[kind] == before:  # one pixel of each of very many images
                    break

    def threshold(self) -> dict[str, Any]:
        """What score decides, as the decisions themselves show it.

        ``single`` where one threshold explains all decisions: then it lies above ``above`` and is
        at most ``at_most``.
        """
        low, high = self.highest_undecided, self.lowest_decided
        single = bool(low < high)
        return {"single": single, "above": _finite(low), "at_most": _finite(high)}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
