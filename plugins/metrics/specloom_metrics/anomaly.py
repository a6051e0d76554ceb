"""Metrics of an anomaly detector, pooled over a whole stage."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specloom import Batch, DataError, Input, Output, node
from specloom.torch import TorchNode
from specloom_metrics import METRICS
from specloom_metrics.curves import average_precision, roc_auc
from specloom_metrics.histogram import ScoreHistogram
from specloom_metrics.rows import Rows

MOST_BYTES = 2_000_000_000
"""What exact curves may collect of a stage."""
BYTES_A_PIXEL = 5
EXCLUDED = 2  # the third class of a pixel, next to 0, normal, and 1, anomalous
MOST_ANOMALOUS = 0.5
"""A greater share of anomalous pixels is probably a mistake in the masks or lists of classes."""
MOST_DECIDED = 0.95
"""A greater share of decided pixels is probably a threshold in another unit than the scores."""
LEAST_ROC_AUC = 0.6
MOST_RECALL = 0.9
"""A greater recall at a smaller ROC-AUC needs false positives in a third of the normal pixels."""
LEAST_YOUDEN = 0.1
"""With less, decisions for most pixels are hardly better than chance."""
CURVES = ("roc_auc", "average_precision")
BOUNDS = tuple(f"{name}_{end}" for name in CURVES for end in ("low", "high"))
"""The ends of the intervals of binned curves."""
DECISIONS = ("iou", "precision", "recall", "f1")
COUNTS = (
    "pixels",
    "anomalous_pixels",
    "decided_pixels",
    "left_out_pixels",
    "images",
    "images_left_out",
)
# Precision is not defined for an image in which nothing was decided.
IMAGES = tuple(f"image_{name}" for name in (*DECISIONS, *CURVES) if name != "precision")


class Counts(NamedTuple):
    """Numbers of pixels of an image or of a whole stage."""

    true_positives: int
    decided: int
    anomalous: int
    counted: int
    all: int

    @property
    def has_both_classes(self) -> bool:
        """Whether there are anomalous as well as normal pixels."""
        return 0 < self.anomalous < self.counted


def decision_metrics(true_positives: int, decided: int, anomalous: int) -> dict[str, float]:
    """IoU, precision, recall and F1 of counted pixels, without those that divide by 0.

    >>> decision_metrics(true_positives=2, decided=4, anomalous=2)
    {'iou': 0.5, 'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    >>> decision_metrics(true_positives=0, decided=0, anomalous=3)
    {'iou': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    ratios = {
        "iou": (true_positives, decided + anomalous - true_positives),
        "precision": (true_positives, decided),
        "recall": (true_positives, anomalous),
        "f1": (2 * true_positives, decided + anomalous),
    }
    return {name: part / whole for name, (part, whole) in ratios.items() if whole}


def curve_metrics(scores: NDArray[Any], classes: NDArray[Any]) -> dict[str, float]:
    """ROC-AUC and average precision of the pixels that count, without what is not defined.

    Args:
        scores: One for each pixel.
        classes: 0 where normal, 1 where anomalous, 2 where excluded.
    """
    counted = classes != EXCLUDED
    scores = scores[counted]
    targets = classes[counted] == 1
    metrics: dict[str, float] = {}
    if targets.any():
        if not targets.all():
            metrics["roc_auc"] = roc_auc(scores, targets)
        metrics["average_precision"] = average_precision(scores, targets)
    return metrics


def mostly_anomalous(total: Counts) -> DataError | None:
    """The error where more than half of the counted pixels are anomalous."""
    if total.anomalous <= MOST_ANOMALOUS * total.counted:
        return None
    what = f"{total.anomalous:,} of {total.counted:,} pixels are anomalous"
    return DataError(what, fix="check the masks, and the lists of classes of the data node")


def most_decided(total: Counts, roc_auc: float | None = None) -> DataError | None:
    """The error of decisions for most pixels, whether they are anomalous or not.

    Youden's index (Youden, 1950, Cancer 3(1):32-35), recall plus specificity minus 1, is 0 for
    decisions that do not depend on the class.

    Args:
        total: The counts.
        roc_auc: The ROC-AUC of the scores behind the decisions, where it is known.
    """
    normal = total.counted - total.anomalous
    recall = total.true_positives / total.anomalous
    false_positive_rate = (total.decided - total.true_positives) / normal
    share = total.decided / total.counted
    is_most = share > MOST_DECIDED and total.anomalous < share * total.counted / 2
    is_chance = share > 0.5 and recall - false_positive_rate < LEAST_YOUDEN
    is_blind = roc_auc is not None and roc_auc < LEAST_ROC_AUC and recall > MOST_RECALL
    if not (is_most or is_chance or is_blind):
        return None
    what = (
        f"{share:.2%} of the pixels are decided as anomalies, {recall:.2%} of the anomalous and "
        f"{false_positive_rate:.2%} of the normal ones"
    )
    if roc_auc is not None:
        what = f"{what}, at a ROC-AUC of {roc_auc:.4f}"
    fix = (
        "calibrate the threshold with training.Calibrate, or connect logits to the decider, such "
        "as those of rx.ScoreToLogit: raw scores are no probabilities"
    )
    return DataError(what, fix=fix)


@node
class AnomalyDetectionMetrics(TorchNode):
    """Metrics of decisions and logits (B, H, W, 1) against targets, over a whole stage.

    ``iou``, ``precision``, ``recall`` and ``f1`` are pooled over all pixels of the stage,
    ``roc_auc`` and ``average_precision`` are exact; nothing depends on the batch size or the
    order. ``image_iou``, ``image_recall``, ``image_f1``, ``image_roc_auc`` and
    ``image_average_precision`` are means over the images that hold both classes. The counts are
    ``pixels``, ``anomalous_pixels``, ``decided_pixels``, ``left_out_pixels``, ``images`` and
    ``images_left_out``.

    A metric that is not defined is omitted, and a count says why: without anomalous pixels there
    is no recall, ROC-AUC or average precision, without decided pixels no precision, without either
    no IoU and no F1, without normal pixels no ROC-AUC; images of one class are counted in
    ``images_left_out``; without ``logits`` there are no curves. Pixels that are not valid, and
    those with a NaN logit, count in ``left_out_pixels`` alone.

    With logits, 5 bytes a pixel stay on the device until the stage ends, 2 GB at most. With
    ``curves: binned`` it is 1 MB however many there are: scores are counted in 65,536 bins, of a
    relative width of 1/128, and the intervals in which the exact values lie are metrics, too
    (``roc_auc_low``, ``roc_auc_high`` and so on). Means over images stay exact.

    Args:
        curves: ``exact``, or ``binned`` for metrics of a fixed size.
    """

    curves: Literal["exact", "binned"] = "exact"

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    targets = Input("B H W 1", dtype="bool", doc="True where an anomaly is.")
    logits = Input("B H W 1", optional=True, doc="Scores or logits, for the curves.")
    valid = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label, that count.",
    )
    metrics = Output(METRICS)
    locality = "image"
    stages = ("train", "val", "test")
    metric_names: ClassVar[tuple[str, ...]] = (*CURVES, *BOUNDS, *DECISIONS, *COUNTS, *IMAGES)
    example: ClassVar[Mapping[str, object]] = {}

    def __post_init__(self) -> None:
        self._warned_stages: set[str] = set()
        self.measure_start("")

    def measure_start(self, stage: str) -> None:
        """Forget what was collected."""
        self._stage = stage
        self._counts = Rows()
        self._scores = Rows()
        self._classes = Rows()
        self._pixels = 0
        self._histogram = ScoreHistogram()
        self._image_curves = Rows()

    def forward(
        self,
        decisions: Tensor,
        targets: Tensor,
        logits: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Take in one batch; the metrics come when the stage ends."""
        counted = torch.ones_like(targets) if valid is None else valid
        if logits is not None:
            logits = logits.detach().float()
            counted = counted & ~logits.isnan()
        decided = decisions & counted
        anomalous = targets & counted
        masks = (decided & anomalous, decided, anomalous, counted, torch.ones_like(counted))
        by_image = [mask.flatten(1).sum(1) for mask in masks]  # in the order of Counts
        self._counts.add(torch.stack(by_image, 1))
        if logits is not None:
            classes = anomalous.to(torch.uint8).masked_fill(~counted, EXCLUDED)
            if self.curves == "binned":
                self._histogram.add(logits, anomalous, counted)
                self._image_curves.add(_curves_by_image(logits, classes))
            else:
                self._collect(logits, classes)
        return {}

    def _collect(self, scores: Tensor, classes: Tensor) -> None:
        """Append scores and classes for exact curves.

        Raises:
            DataError: They take more memory than exact curves may.
        """
        self._pixels += scores.numel()
        if BYTES_A_PIXEL * self._pixels > MOST_BYTES:
            raise DataError(
                f"{self.label}: exact curves of {self._pixels:,} pixels take more than "
                f"{MOST_BYTES / 1e9:g} GB",
                fix="set curves: binned",
            )
        self._scores.add(scores)
        self._classes.add(classes)

    def measure_state(self) -> dict[str, Tensor]:
        """What was collected since ``measure_start``: counts by image, scores and classes.

        Of binned curves: the histogram, and the curves of each image.
        """
        if self.curves == "binned":
            return {
                "counts": self._counts.tensor(),
                "histogram": torch.from_numpy(self._histogram.counts()),
                "image_curves": self._image_curves.tensor(),
            }
        return {
            "counts": self._counts.tensor(),
            "scores": self._scores.tensor(),
            "classes": self._classes.tensor(),
        }

    def measure_merge(self, state: Mapping[str, Tensor]) -> None:
        """Append what another node collected, as if its batches came after those of this node."""
        self._counts.add(state["counts"])
        if self.curves == "binned":
            self._histogram.merge(state["histogram"].cpu().numpy())
            self._image_curves.add(state["image_curves"])
        else:
            self._collect(state["scores"], state["classes"])

    def measure_end(self) -> Batch:
        """The metrics of everything since ``measure_start``, which is then forgotten."""
        rows = self._counts.array().astype(np.int64, copy=False).reshape(-1, len(Counts._fields))
        pooled = self._pooled_curves()
        means = self._image_means(rows)
        self.measure_start(self._stage)
        total = Counts(*rows.sum(0).tolist())
        images = [Counts(*row) for row in rows.tolist()]
        self._warn_of_one_class(total)
        metrics = decision_metrics(*total[:3])
        metrics |= pooled
        self._warn_of_decisions(total, metrics.get("roc_auc"))
        metrics |= means
        metrics |= {
            "pixels": total.counted,
            "anomalous_pixels": total.anomalous,
            "decided_pixels": total.decided,
            "left_out_pixels": total.all - total.counted,
            "images": len(images),
            "images_left_out": sum(not image.has_both_classes for image in images),
        }
        return {"metrics": metrics}

    def _pooled_curves(self) -> dict[str, float]:
        """ROC-AUC and average precision of all pixels, with the intervals of binned curves."""
        if self.curves != "binned":
            return curve_metrics(self._scores.array(), self._classes.array())
        intervals = {
            "roc_auc": self._histogram.roc_auc(),
            "average_precision": self._histogram.average_precision(),
        }
        found: dict[str, float] = {}
        for name, interval in intervals.items():
            if interval is not None:
                found[name] = interval.value
                found[f"{name}_low"] = interval.low
                found[f"{name}_high"] = interval.high
        return found

    def _image_means(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """The means of each metric over the images that hold both classes."""
        images = [Counts(*row) for row in rows.tolist()]
        if self.curves != "binned":
            return _image_means(images, self._scores.array(), self._classes.array())
        curves = self._image_curves.array().reshape(-1, len(CURVES))
        return _means_of(images, [_defined(row) for row in curves.tolist()])

    def _warn_of_decisions(self, total: Counts, roc_auc: float | None) -> None:
        """Warn, once a stage, of anomalies in most pixels, and of decisions for most pixels."""
        if not total.has_both_classes or self._stage in self._warned_stages:
            return
        found = [mostly_anomalous(total), most_decided(total, roc_auc)]
        for error in found:
            if error is not None:
                self._warned_stages.add(self._stage)
                what = f"{self.label}: {error.what} in the stage {self._stage!r}"
                warnings.warn(str(DataError(what, fix=error.fix)), stacklevel=3)

    def _warn_of_one_class(self, total: Counts) -> None:
        if total.has_both_classes or total.counted == 0:
            return
        what = "every pixel is anomalous"
        if total.anomalous == 0:
            what = "no pixel is anomalous"
        warnings.warn(
            f"{self.label}: {what} in the stage {self._stage!r}, so some metrics are missing: "
            "check the masks, and the data node's class numbers",
            stacklevel=2,
        )


def _image_means(
    images: Sequence[Counts], scores: NDArray[Any], classes: NDArray[Any]
) -> dict[str, float]:
    """The means of each metric over the images that hold both classes."""
    curves: list[Mapping[str, float]] = []
    first = 0
    for image in images:
        pixels = slice(first, first + image.all)
        first += image.all
        found: Mapping[str, float] = {}
        if image.has_both_classes:
            found = curve_metrics(scores[pixels], classes[pixels])
        curves.append(found)
    return _means_of(images, curves)


def _means_of(images: Sequence[Counts], curves: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means over the images that hold both classes, of which the curves are known.

    Args:
        images: The counts of each image.
        curves: ROC-AUC and average precision of each; none where there were no logits.
    """
    found: dict[str, list[float]] = {}
    for number, image in enumerate(images):
        if image.has_both_classes:
            metrics = decision_metrics(*image[:3])
            if number < len(curves):
                metrics |= curves[number]
            for name, value in metrics.items():
                found.setdefault(f"image_{name}", []).append(value)
    return {
        name: math.fsum(values) / len(values) for name, values in found.items() if name in IMAGES
    }


def _curves_by_image(scores: Tensor, classes: Tensor) -> Tensor:
    """ROC-AUC and average precision of each image of a batch, (B, 2); NaN where not defined."""
    rows = []
    for image, kinds in zip(scores.cpu().numpy(), classes.cpu().numpy(), strict=True):
        found = curve_metrics(image.ravel(), kinds.ravel())
        rows.append([found.get(name, math.nan) for name in CURVES])
    return torch.tensor(rows, dtype=torch.float64)


def _defined(row: Sequence[float]) -> dict[str, float]:
    """The curves of an image by name, without those that are NaN."""
    pairs = zip(CURVES, row, strict=True)
    return {name: value for name, value in pairs if not math.isnan(value)}
