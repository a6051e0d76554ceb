"""ROC and precision-recall curves, histograms, and the metrics of each image.

The curves are computed here and not by scikit-learn, of which nothing else in this plugin has
need: one sort of the pooled scores gives both curves and both areas. The tests compare them with
scikit-learn's to 1e-12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from specloom_report.collecting.pixel_sample import ImageCounts, PixelSample

CURVE_POINTS = 160
LOWEST_RATE = 1e-6
"""The false-positive rate at which the logarithmic axis begins, at the lowest."""
BINS = 48
MAX_IMAGES = 500
#: The keys of a report's counts, in the order of ``ImageCounts``. They stand in stored reports:
#: true positives, predicted as anomalous, anomalous, used and excluded pixels.
COUNT_KEYS = ("hits", "decided", "anomalous", "pixels", "left_out")
#: Those of an image's objects, in the order of ``ObjectCounts``.
OBJECT_KEYS = ("decided_objects", "false_objects", "anomalous_objects", "found_objects")

Floats = NDArray[np.float64]


class ThresholdCurve:
    """True-positive and false-positive rates at every threshold, the highest threshold first.

    Args:
        normal: Scores of normal pixels.
        anomalous: Scores of anomalous pixels.
        normal_count: How many normal pixels these scores stand for.
        anomalous_count: How many anomalous pixels these scores stand for.
    """

    def __init__(
        self,
        normal: NDArray[Any],
        anomalous: NDArray[Any],
        normal_count: int,
        anomalous_count: int,
    ) -> None:
        scores = np.concatenate([normal, anomalous])
        is_anomalous = np.repeat([False, True], [len(normal), len(anomalous)])
        order = np.argsort(scores, kind="stable")[::-1]
        scores = scores[order]
        is_anomalous = is_anomalous[order]
        # Equal scores share a threshold: only the last of each run of them is a point.
        last_of_run = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(order) - 1)
        true_positives = np.concatenate([[0], np.cumsum(is_anomalous)[last_of_run]])
        false_positives = np.concatenate([[0], np.cumsum(~is_anomalous)[last_of_run]])
        self.true_positive_rate: Floats = true_positives / len(anomalous)
        self.false_positive_rate: Floats = false_positives / len(normal)
        correct = self.true_positive_rate * anomalous_count
        wrong = self.false_positive_rate * normal_count
        predicted = correct + wrong
        #: 1 where no pixel reaches the threshold.
        self.precision: Floats = np.divide(
            correct, predicted, out=np.ones_like(correct), where=predicted > 0
        )

    @property
    def roc_auc(self) -> float:
        """The area under the ROC curve; ties count one half."""
        heights = (self.true_positive_rate[1:] + self.true_positive_rate[:-1]) / 2
        return float(np.sum(np.diff(self.false_positive_rate) * heights))

    @property
    def average_precision(self) -> float:
        """The sum over thresholds of precision times the gain in recall."""
        return float(np.sum(np.diff(self.true_positive_rate) * self.precision[1:]))


def thin_curve(x: Floats, y: Floats, points: int = CURVE_POINTS) -> list[list[float]]:
    """Return about so many points of a curve, evenly along its length, with both its ends."""
    steps = np.abs(np.diff(x)) + np.abs(np.diff(y))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    last = len(length) - 1
    chosen = np.searchsorted(length, np.linspace(0, length[-1], points)).clip(0, last)
    chosen = np.unique(np.concatenate([[0], chosen, [last]]))
    return [np.round(x[chosen], 5).tolist(), np.round(y[chosen], 5).tolist()]


def thin_logarithmic_curve(x: Floats, y: Floats, points: int = CURVE_POINTS) -> list[list[float]]:
    """Return about so many points of a curve, evenly along its length over a logarithmic axis.

    Where ``x`` is 0 the point stands at the left end of the axis, below the smallest rate.
    """
    positive = x[x > 0]
    if not len(positive):
        return [[], []]
    start = max(float(positive.min()) / 2, LOWEST_RATE)
    places = np.log10(np.maximum(x, start)) / -np.log10(start / 2)
    steps = np.abs(np.diff(places)) + np.abs(np.diff(y))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    last = len(length) - 1
    chosen = np.searchsorted(length, np.linspace(0, length[-1], points)).clip(0, last)
    chosen = np.unique(np.concatenate([[0], chosen, [last]]))
    rates = [float(f"{value:.4g}") for value in np.maximum(x[chosen], start)]
    return [rates, np.round(y[chosen], 5).tolist()]


def histogram(
    normal: NDArray[Any], anomalous: NDArray[Any], threshold: float | None
) -> dict[str, Any]:
    """Return the fraction of each class in equal bins; values beyond count in the end bins.

    The bins reach from the 0.5th to the 99.5th percentile of each class, and include
    ``threshold``.
    """
    normal = normal[np.isfinite(normal)]
    anomalous = anomalous[np.isfinite(anomalous)]
    low, high = _histogram_limits((normal, anomalous), threshold)
    edges = np.linspace(low, high, BINS + 1)
    return {
        "low": low,
        "high": high,
        "normal": _fractions(normal, edges),
        "anomalous": _fractions(anomalous, edges),
    }


def _histogram_limits(
    classes: Sequence[NDArray[Any]], threshold: float | None
) -> tuple[float, float]:
    limits = []
    for scores in classes:
        if len(scores):
            limits += np.quantile(scores, (0.005, 0.995)).tolist()
    if threshold is not None:
        limits.append(threshold)
    if not limits:
        return 0.0, 1.0
    low = min(limits)
    high = max(limits)
    if not high > low:
        return low - 0.5, high + 0.5
    return low, high


def _fractions(scores: NDArray[Any], edges: Floats) -> list[float]:
    counts, _ = np.histogram(scores.clip(float(edges[0]), float(edges[-1])), edges)
    fractions: list[float] = (counts / max(len(scores), 1)).round(6).tolist()
    return fractions


def summarise(sample: PixelSample) -> dict[str, Any]:
    """Return counts, curves, histogram and the metrics of each image, as plain numbers."""
    counts = np.array(sample.counts, np.int64).reshape(-1, len(COUNT_KEYS))
    pooled: list[int] = counts.sum(0).tolist()
    summary: dict[str, Any] = {
        "counts": dict(zip(COUNT_KEYS, pooled, strict=True)),
        "images": len(sample.counts),
        "rows": [_image_metrics(one) for one in sample.counts[:MAX_IMAGES]],
        "objects": _object_counts(sample),
    }
    for row, objects in zip(summary["rows"], sample.objects, strict=False):
        row |= dict(zip(OBJECT_KEYS, objects, strict=True))
    normal, anomalous = sample.scores
    if not normal:
        return summary
    summary |= _pooled_scores(sample, pooled)
    for row, image, normal_scores, anomalous_scores in zip(
        summary["rows"], sample.counts, normal, anomalous, strict=False
    ):
        if len(normal_scores) and len(anomalous_scores):
            curve = ThresholdCurve(
                normal_scores, anomalous_scores, image.used - image.anomalous, image.anomalous
            )
            row |= _areas(curve)
    return summary


def _object_counts(sample: PixelSample) -> dict[str, int]:
    """Return the counts of objects over all images, and how many images are clean."""
    counts = np.array(sample.objects, np.int64).reshape(-1, len(OBJECT_KEYS)).sum(0).tolist()
    pooled = dict(zip(OBJECT_KEYS, counts, strict=True))
    clean = [one for one in sample.counts if not one.anomalous]
    pooled["clean_images"] = len(clean)
    pooled["false_alarm_images"] = sum(one.predicted > 0 for one in clean)
    return pooled


def _pooled_scores(sample: PixelSample, counts: Sequence[int]) -> dict[str, Any]:
    """Return threshold, histogram and curves over the pixels of all images."""
    normal = np.concatenate(sample.scores[0])
    anomalous = np.concatenate(sample.scores[1])
    threshold = sample.threshold()
    shown_threshold = None
    if threshold["single"]:
        shown_threshold = threshold["at_most"]
    summary: dict[str, Any] = {
        "threshold": threshold,
        "one_in": list(sample.strides),
        "histogram": histogram(normal, anomalous, shown_threshold),
    }
    if len(normal) and len(anomalous):
        _, _, anomalous_count, used_count, _ = counts
        curve = ThresholdCurve(normal, anomalous, used_count - anomalous_count, anomalous_count)
        summary["roc"] = thin_curve(curve.false_positive_rate, curve.true_positive_rate)
        summary["roc_log"] = thin_logarithmic_curve(
            curve.false_positive_rate, curve.true_positive_rate
        )
        summary["pr"] = thin_curve(curve.true_positive_rate, curve.precision)
        summary |= _areas(curve)
    return summary


def _areas(curve: ThresholdCurve) -> dict[str, float]:
    return {"roc_auc": curve.roc_auc, "average_precision": curve.average_precision}


def _image_metrics(counts: ImageCounts) -> dict[str, Any]:
    """Return the counts of one image, and the metrics that are defined for it."""
    true_positives = counts.true_positives
    either = counts.predicted + counts.anomalous
    ratios = {
        "iou": (true_positives, either - true_positives),
        "precision": (true_positives, counts.predicted),
        "recall": (true_positives, counts.anomalous),
        "f1": (2 * true_positives, either),
    }
    metrics: dict[str, Any] = dict(zip(COUNT_KEYS, counts, strict=True))
    for name, (numerator, denominator) in ratios.items():
        if denominator:
            metrics[name] = numerator / denominator
    return metrics
