"""The thresholds of a decider with which its decisions make a metric largest."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specloom import DataError
from specloom_metrics import CRITERIA, best_threshold
from specloom_training.calibration.deciders import GATE, THRESHOLD

MOST_GATES = 256
"""How many image thresholds are tried; of more images, evenly many are passed over."""


class BestThresholds(NamedTuple):
    """Thresholds by parameter, and the metric that they reach."""

    thresholds: Mapping[str, float]
    metric: float


class Pixels(Protocol):
    """The pixels that count."""

    def levels(self) -> Tensor:
        """The largest value of a threshold with which each pixel is decided, (N,)."""

    def targets(self) -> Tensor:
        """Whether each of them is anomalous, (N,)."""

    def image_numbers(self) -> Tensor:
        """The number of the image that each of them is in, (N,)."""

    def image_scores(self) -> Tensor:
        """The score of each image, which a gated decider compares with its gate, (B,)."""


def best_thresholds(pixels: Pixels, parameter: str, metric: str, *, gated: bool) -> BestThresholds:
    """The thresholds that make ``metric`` largest; of equally good ones the highest.

    Args:
        pixels: The pixels that count, of both classes.
        parameter: The threshold of pixels.
        metric: ``f1``, ``iou`` or ``youden``.
        gated: Whether the decider has a threshold of images too; both are then found together.

    Raises:
        DataError: Only one class is there, or all scores of each image are equal.
    """
    levels = pixels.levels().numpy()
    targets = pixels.targets().numpy()
    threshold, value = best_threshold(levels, targets, metric)
    if not gated and parameter in (THRESHOLD, "value"):
        return BestThresholds({parameter: threshold}, value)
    if not np.isfinite(levels).any():
        raise DataError(
            f"no {parameter} decides any of {len(levels)} pixels, as each image has one score",
            fix="check the scores that the decider reads",
        )
    images = np.zeros(len(levels), np.int64)
    scores = np.zeros(1)
    if gated:
        images = pixels.image_numbers().numpy()
        scores = pixels.image_scores().numpy()
    order = np.argsort(-levels, kind="stable")
    search = _Search(levels[order], targets[order], metric)
    best: BestThresholds | None = None
    for gate in _gates(scores):
        passes = scores[images[order]] >= gate
        found = search.best(passes)
        if best is None or found.metric > best.metric:
            thresholds = {parameter: found.threshold}
            if gated:
                thresholds[GATE] = gate
            best = BestThresholds(thresholds, found.metric)
    assert best is not None, "there is a gate"
    return best


class _Found(NamedTuple):
    threshold: float
    metric: float


class _Search:
    """Thresholds of pixels among those of some images.

    Args:
        levels: The largest threshold with which each pixel is decided, falling.
        targets: Whether each is anomalous.
        metric: What is made largest.
    """

    def __init__(self, levels: NDArray[Any], targets: NDArray[np.bool_], metric: str) -> None:
        self._levels = levels.astype(np.float64)
        self._targets = targets
        self._criterion = CRITERIA[metric]
        self._anomalous = int(targets.sum())
        self._normal = len(targets) - self._anomalous
        is_last = np.append(self._levels[1:] != self._levels[:-1], True)
        # Minus infinity is decided by no threshold.
        self._ends = np.flatnonzero(is_last & (self._levels > -math.inf))

    def best(self, passes: NDArray[np.bool_]) -> _Found:
        """The best threshold where the pixels of other images are not decided."""
        true_positives = np.cumsum(self._targets & passes, dtype=np.int64)[self._ends]
        false_positives = np.cumsum(~self._targets & passes, dtype=np.int64)[self._ends]
        values = self._criterion(true_positives, false_positives, self._anomalous, self._normal)
        best = int(np.argmax(values))
        level = float(self._levels[self._ends[best]])
        below = 2 * level - self._highest()
        if best + 1 < len(self._ends):
            below = float(self._levels[self._ends[best + 1]])
        return _Found(level / 2 + below / 2, float(values[best]))

    def _highest(self) -> float:
        return float(self._levels[0])


def _gates(scores: NDArray[np.float64]) -> list[float]:
    """Thresholds between the scores of images, falling, and one below all of them."""
    distinct = np.unique(scores)[::-1]
    finite = distinct[np.isfinite(distinct)]
    if not len(finite):
        return [0.0]
    middles = finite[:-1] / 2 + finite[1:] / 2
    lowest = finite[-1] - max(1.0, float(finite[0] - finite[-1]))
    gates = [*middles.tolist(), float(lowest)]
    step = -(-len(gates) // MOST_GATES)
    # The last one, which lets all images pass, is always among them.
    return gates[::-1][::step][::-1]
