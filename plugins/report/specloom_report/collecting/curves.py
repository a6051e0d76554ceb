"""ROC and precision-recall curves, histograms, and the metrics of each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from specloom_report.collecting.pixel_sample import Sample

POINTS, BINS, MOST_IMAGES = 160, 48, 500
Floats = NDArray[np.float64]


class Curve:
    """Hits and false alarms at every threshold, the highest first.

    Args:
        normal: Scores of normal pixels.
        anomalous: Scores of anomalous pixels.
        counts: How many pixels of each class these stand for.
    """

    def __init__(
        self, normal: NDArray[Any], anomalous: NDArray[Any], counts: tuple[int, int]
    ) -> None:
        values = np.concatenate([normal, anomalous])
        truth = np.repeat([False, True], [len(normal), len(anomalous)])
        order = np.argsort(values, kind="stable")[::-1]
        falling, truth = values[order], truth[order]
        last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(order) - 1)
        hits = np.concatenate([[0], np.cumsum(truth)[last]])
        alarms = np.concatenate([[0], np.cumsum(~truth)[last]])
        #: The shares of the anomalous and of the normal pixels that reach each threshold.
        self.recall: Floats = hits / len(anomalous)
        self.alarms: Floats = alarms / len(normal)
        right, wrong = self.recall * counts[1], self.alarms * counts[0]
        #: The share of anomalous pixels among those that reach it; 1 where there are none.
        self.precision: Floats = np.divide(
            right, right + wrong, out=np.ones_like(right), where=right + wrong > 0
        )

    @property
    def roc_auc(self) -> float:
        """The area under the ROC curve; ties count one half."""
        heights = (self.recall[1:] + self.recall[:-1]) / 2
        return float(np.sum(np.diff(self.alarms) * heights))

    @property
    def average_precision(self) -> float:
        """The sum over thresholds of precision times the gain in recall."""
        return float(np.sum(np.diff(self.recall) * self.precision[1:]))


def thinned(x: Floats, y: Floats, points: int = POINTS) -> list[list[float]]:
    """A curve of so many points, evenly along its way, with both its ends."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    at = np.unique(np.searchsorted(way, np.linspace(0, way[-1], points)).clip(0, len(way) - 1))
    at = np.unique(np.concatenate([[0], at, [len(way) - 1]]))
    return [np.round(x[at], 5).tolist(), np.round(y[at], 5).tolist()]


def histogram(normal: NDArray[Any], anomalous: NDArray[Any], cut: float | None) -> dict[str, Any]:
    """The share of each class in each of equal bins; what lies beyond counts in the end bins.

    The bins reach from the 0.5th to the 99.5th percentile of each class, and take in ``cut``.
    """
    finite = [one[np.isfinite(one)] for one in (normal, anomalous)]
    limits = [float(end) for one in finite if len(one) for end in np.quantile(one, (0.005, 0.995))]
    limits += [] if cut is None else [cut]
    low, high = (min(limits), max(limits)) if limits else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = [
        (np.histogram(one.clip(low, high), edges)[0] / max(len(one), 1)).round(6).tolist()
        for one in (normal, anomalous)
    ]
    return {"low": low, "high": high, "normal": shares[0], "anomalous": shares[1]}


def told(sample: Sample) -> dict[str, Any]:
    """Everything that the report tells of a stage's pixels, as plain numbers."""
    counts = np.array(sample.counts, np.int64).reshape(-1, 5)
    pooled = counts.sum(0)
    found: dict[str, Any] = {
        "counts": dict(zip(NAMES, pooled.tolist(), strict=True)),
        "images": len(counts),
        "rows": [_row(one) for one in counts[:MOST_IMAGES]],
    }
    normal, anomalous = sample.scores
    if not normal:
        return found
    threshold = sample.threshold()
    whole = [np.concatenate(one) for one in (normal, anomalous)]
    found |= {"threshold": threshold, "one_in": list(sample.strides)}
    cut = threshold["at_most"] if threshold["single"] else None
    found["histogram"] = histogram(whole[0], whole[1], cut)
    if len(whole[0]) and len(whole[1]):
        curve = Curve(whole[0], whole[1], _classes(pooled))
        found["roc"] = thinned(curve.alarms, curve.recall)
        found["pr"] = thinned(curve.recall, curve.precision)
        found |= {"roc_auc": curve.roc_auc, "average_precision": curve.average_precision}
    for row, count, a, b in zip(found["rows"], counts, normal, anomalous, strict=False):
        if len(a) and len(b):
            one = Curve(a, b, _classes(count))
            row |= {"roc_auc": one.roc_auc, "average_precision": one.average_precision}
    return found


NAMES = ("hits", "decided", "anomalous", "pixels", "left_out")


def _classes(counts: NDArray[np.int64]) -> tuple[int, int]:
    return int(counts[3] - counts[2]), int(counts[2])


def _row(counts: NDArray[np.int64]) -> dict[str, Any]:
    """The counts of one image, and the metrics that are defined for it."""
    hits, decided, anomalous, _, _ = (int(one) for one in counts)
    ratios = {
        "iou": (hits, decided + anomalous - hits),
        "precision": (hits, decided),
        "recall": (hits, anomalous),
        "f1": (2 * hits, decided + anomalous),
    }
    row: dict[str, Any] = dict(zip(NAMES, counts.tolist(), strict=True))
    return row | {name: part / whole for name, (part, whole) in ratios.items() if whole}
