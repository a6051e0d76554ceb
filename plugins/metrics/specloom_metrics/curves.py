"""ROC-AUC, average precision and the best threshold, exact with ties and in any order.

Counts are integers and ratios float64, so that results do not depend on the order of the pixels.
Scores of any real type are compared as they are; pixels whose score is NaN are left out.
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
    """Sorted scores of the anomalous and of the normal pixels, NaN left out."""
    values, truth = np.asarray(scores).ravel(), np.asarray(targets).ravel()
    if values.shape != truth.shape:
        raise DataError(
            f"{values.size} scores and {truth.size} targets", fix="give one target for each score"
        )
    truth = truth.astype(bool, copy=False)
    known = ~np.isnan(values)
    return np.sort(values[known & truth]), np.sort(values[known & ~truth])


def _need_both(anomalous: int, normal: int, what: str) -> None:
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
    _need_both(anomalous.size, normal.size, "ROC-AUC")
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
    hits = anomalous.size - np.searchsorted(anomalous, anomalous, side="left")
    alarms = normal.size - np.searchsorted(normal, anomalous, side="left")
    return math.fsum(hits / (hits + alarms)) / anomalous.size


def _f1(hits: Counts, alarms: Counts, anomalous: int, normal: int) -> Any:
    return 2 * hits / (hits + alarms + anomalous)


def _iou(hits: Counts, alarms: Counts, anomalous: int, normal: int) -> Any:
    return hits / (anomalous + alarms)


def _youden(hits: Counts, alarms: Counts, anomalous: int, normal: int) -> Any:
    return (hits * normal - alarms * anomalous) / (anomalous * normal)


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
    _need_both(anomalous.size, normal.size, f"a threshold for {metric}")
    # None of the metrics gains when a threshold goes down over normal pixels alone, so that the
    # lowest score above the best one is always an anomalous pixel's.
    cuts = np.unique(anomalous)[::-1]
    hits = anomalous.size - np.searchsorted(anomalous, cuts, side="left")
    alarms = normal.size - np.searchsorted(normal, cuts, side="left")
    values = CRITERIA[metric](hits, alarms, anomalous.size, normal.size)
    best = int(np.argmax(values))
    levels = np.unique(np.concatenate([anomalous, normal]))
    return _below(levels, int(np.searchsorted(levels, cuts[best]))), float(values[best])


def _below(levels: Scores, place: int) -> float:
    """The middle of the gap under the level; under the lowest, half of the gap above it."""
    if np.isneginf(levels[place]):
        return -math.inf
    limit = np.finfo(np.float64).max
    near = np.clip(levels[max(place - 1, 0) : place + 2].astype(np.float64), -limit, limit) / 2
    if place > 0:
        return float(near[0] + near[1])
    return float(2 * near[0] - (near[1] - near[0])) if near.size > 1 else float(2 * near[0])
