"""ROC-AUC, average precision and the best threshold, exact with ties and in any order.

Counts are integers and ratios float64, so that results do not depend on the order of the pixels.
Scores of any real type are compared as they are; pixels whose score is NaN are excluded.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specloom import ConfigError, DataError, did_you_mean

Scores: TypeAlias = NDArray[Any]
Counts: TypeAlias = NDArray[np.int64]


def _by_class(scores: ArrayLike, targets: ArrayLike) -> tuple[Scores, Scores]:
    """Sorted scores of the anomalous and of the normal pixels, without NaN."""
    values = np.asarray(scores).ravel()
    truth = np.asarray(targets).ravel()
    if values.shape != truth.shape:
        raise DataError(
            f"{values.size} scores and {truth.size} targets", fix="pass one target for each score"
        )
    truth = truth.astype(bool, copy=False)
    numbers = ~np.isnan(values)
    return np.sort(values[numbers & truth]), np.sort(values[numbers & ~truth])


def require_both_classes(anomalous: int, normal: int, what: str) -> None:
    """Raise DataError where pixels of one class are all there are."""
    if not anomalous or not normal:
        raise DataError(
            f"{what} needs pixels of both classes, got {anomalous} anomalous and {normal} normal",
            fix="use a split whose masks hold anomalies as well as background",
        )


def roc_auc(scores: ArrayLike, targets: ArrayLike) -> float:
    """The probability that an anomalous pixel scores above a normal one; ties count one half.

    Equal to the area under the ROC curve (Hanley and McNeil, 1982, Radiology 143(1):29-36). The
    pairs are counted in integers, so that only the last division rounds.

    Args:
        scores: Any shape; higher means more anomalous.
        targets: Of the same size, true where an anomaly is.

    Raises:
        DataError: Only one class is there, or the sizes differ.
    """
    anomalous, normal = _by_class(scores, targets)
    require_both_classes(anomalous.size, normal.size, "ROC-AUC")
    below = np.searchsorted(normal, anomalous, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(normal, anomalous, side="right").sum(dtype=np.int64)
    return (int(below) + int(not_above)) / (2 * anomalous.size * normal.size)


def average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """The mean, over anomalous pixels, of the precision at a threshold of their own score.

    This is the sum over thresholds of precision times the gain in recall, without interpolation
    (Buckley and Voorhees, 2000, SIGIR, p. 33-40), as scikit-learn's ``average_precision_score``.

    Args:
        scores: Any shape; higher means more anomalous.
        targets: Of the same size, true where an anomaly is.

    Raises:
        DataError: There is no anomalous pixel, or the sizes differ.
    """
    anomalous, normal = _by_class(scores, targets)
    if not anomalous.size:
        raise DataError(
            f"average precision needs anomalous pixels, got 0 of {normal.size}",
            fix="use a split whose masks hold anomalies",
        )
    true_positives = _at_least(anomalous, anomalous)
    false_positives = _at_least(normal, anomalous)
    precisions = true_positives / (true_positives + false_positives)
    return math.fsum(precisions) / anomalous.size


def _at_least(scores: Scores, thresholds: Scores) -> Counts:
    """How many of the sorted scores reach each threshold."""
    below: Counts = np.searchsorted(scores, thresholds, side="left")
    return scores.size - below


def _f1(true_positives: Counts, false_positives: Counts, anomalous: int, normal: int) -> Any:
    return 2 * true_positives / (true_positives + false_positives + anomalous)


def _iou(true_positives: Counts, false_positives: Counts, anomalous: int, normal: int) -> Any:
    return true_positives / (anomalous + false_positives)


def _youden(true_positives: Counts, false_positives: Counts, anomalous: int, normal: int) -> Any:
    return (true_positives * normal - false_positives * anomalous) / (anomalous * normal)


CRITERIA: dict[str, Callable[[Counts, Counts, int, int], Any]] = {
    "f1": _f1,
    "iou": _iou,
    "youden": _youden,
}


def best_threshold(
    scores: ArrayLike, targets: ArrayLike, metric: str = "f1"
) -> tuple[float, float]:
    """The threshold that makes ``metric`` largest for ``scores >= threshold``, and its value.

    Every threshold between two distinct scores is tried. The one returned lies in the middle of
    the gap, so that rounding flips no pixel; of equally good ones it is the highest.

    Args:
        scores: Any shape; higher means more anomalous.
        targets: Of the same size, true where an anomaly is.
        metric: ``f1``, ``iou`` or ``youden`` (recall plus specificity minus 1; Youden, 1950,
            Cancer 3(1):32-35).

    Raises:
        ConfigError: The metric is not one of these.
        DataError: Only one class is there, or the sizes differ.
    """
    if metric not in CRITERIA:
        raise ConfigError(f"no threshold for metric {metric!r}", fix=did_you_mean(metric, CRITERIA))
    anomalous, normal = _by_class(scores, targets)
    require_both_classes(anomalous.size, normal.size, f"a threshold for {metric}")
    # None of the metrics gains when a threshold goes down over normal pixels alone, so that the
    # lowest score above the best one is always an anomalous pixel's.
    thresholds = np.unique(anomalous)[::-1]
    values = CRITERIA[metric](
        _at_least(anomalous, thresholds),
        _at_least(normal, thresholds),
        anomalous.size,
        normal.size,
    )
    best = int(np.argmax(values))
    levels = np.unique(np.concatenate([anomalous, normal]))
    level = int(np.searchsorted(levels, thresholds[best]))
    return middle_below(levels, level), float(values[best])


def middle_below(levels: Scores, place: int) -> float:
    """The middle of the gap under the level; under the lowest, half of the gap above it."""
    if np.isneginf(levels[place]):
        return -math.inf
    half = _half(levels[place])
    if place > 0:
        return _half(levels[place - 1]) + half
    if levels.size == 1:
        return 2 * half
    return 2 * half - (_half(levels[place + 1]) - half)


def _half(level: Any) -> float:
    """Half of a score, so that a sum of two does not overflow; infinity counts as the largest.

    -0 and 0 are one score: which of them stands in a sorted list depends on the order of pixels.
    """
    limit = np.finfo(np.float64).max
    return float(np.clip(np.float64(level), -limit, limit) / 2) + 0.0
