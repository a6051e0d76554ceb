"""Curves of fixed size: scores counted by class in bins of their float32 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 65_536
"""One for each value of the upper 16 bits of a float32: its sign, exponent and 7 bits more."""

SHIFT = 16
LOWEST = 1 << 31
MAGNITUDE = 0x7FFFFFFF


@dataclass(frozen=True)
class Interval:
    """A metric that is known up to an interval.

    Args:
        value: The metric if all scores of a bin were equal.
        low: The least that it can be.
        high: The most that it can be.
    """

    value: float
    low: float
    high: float


class ScoreHistogram:
    """Counts of normal and anomalous pixels by score, which merge in any order.

    Bins have a relative width of 1/128, so that no range of scores need be known.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), np.int64)

    def add(self, scores: Tensor, anomalous: Tensor, counted: Tensor) -> None:
        """Count the scores of the pixels that count, of any shape, without NaN."""
        places = bins_of(scores)
        for row, mask in enumerate((counted & ~anomalous, counted & anomalous)):
            found = torch.bincount(places[mask].reshape(-1), minlength=BINS)
            self._counts[row] += found.cpu().numpy()

    def merge(self, counts: NDArray[Any]) -> None:
        """Add the counts of another histogram, (2, BINS)."""
        self._counts += counts

    def counts(self) -> NDArray[np.int64]:
        """A copy of the counts: of normal and of anomalous pixels, (2, BINS)."""
        return self._counts.copy()

    def roc_auc(self) -> Interval | None:
        """The area under the ROC curve; None unless both classes are there.

        Of a pair in one bin it is not known which scores higher: none, half or all of these pairs
        count (Hanley and McNeil, 1982, Radiology 143(1):29-36).
        """
        normal, anomalous = self._counts
        pairs = int(normal.sum()) * int(anomalous.sum())
        if pairs == 0:
            return None
        below = np.concatenate([[0], np.cumsum(normal)[:-1]])
        certain = _dot(anomalous, below)
        unknown = _dot(anomalous, normal)
        value = (2 * certain + unknown) / (2 * pairs)
        return Interval(value, certain / pairs, (certain + unknown) / pairs)

    def average_precision(self) -> Interval | None:
        """The average precision; None without anomalous pixels.

        It is lowest where each normal pixel of a bin scores above the anomalous ones, whose scores
        differ; and highest where each scores below them, whose scores are equal.
        """
        used = np.flatnonzero(self._counts[1])[::-1]
        if not used.size:
            return None
        anomalous = self._counts[1][used].astype(np.float64)
        within = self._counts[0][used].astype(np.float64)
        normal_from_above = np.cumsum(self._counts[0][::-1])[::-1]
        above = normal_from_above[used].astype(np.float64) - within
        reached = np.cumsum(anomalous)
        before = reached - anomalous
        total = float(anomalous.sum())
        equal = anomalous * reached / (reached + above + within)
        most = anomalous * reached / (reached + above)
        least = _least(anomalous, before, above + within)
        low = min(float(least.sum()) / total, 1.0)
        return Interval(float(equal.sum()) / total, low, float(most.sum()) / total)


def bins_of(scores: Tensor) -> Tensor:
    """The bin of each score, in the order of the scores; -0 and 0 are one score."""
    return keys_of(scores) >> SHIFT


def keys_of(scores: Tensor) -> Tensor:
    """An integer below 2**32 for each score, int64, in their order; -0 and 0 are one score."""
    bits = (scores.float() + 0.0).contiguous().view(torch.int32)
    ordered = bits ^ ((bits >> 31) & MAGNITUDE)
    return ordered.long() + LOWEST


def scores_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The float32 score of each key."""
    ordered = (keys - LOWEST).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & np.int32(MAGNITUDE))
    return bits.view(np.float32)


def _least(
    anomalous: NDArray[np.float64], before: NDArray[np.float64], false: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The least sum of precisions of each bin.

    The k-th anomalous pixel has (before + k) / (before + k + false). The sum of false / (a + k)
    over k = 1 … n is at most false * ln((a + n) / a), with a = before + false.
    """
    start = before + false
    logarithm = np.log1p(anomalous / np.maximum(start, 1.0))
    return np.where(start > 0, anomalous - false * logarithm, anomalous)


def _dot(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """The product of two vectors in integers that do not overflow."""
    used = np.flatnonzero(one)
    pairs = zip(one[used].tolist(), other[used].tolist(), strict=True)
    return sum(a * b for a, b in pairs)
