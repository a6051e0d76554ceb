"""Metrics of an anomaly detector, pooled over a whole stage."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode
from specloom_metrics import METRICS
from specloom_metrics.curves import average_precision, roc_auc
from specloom_metrics.rows import Rows

LEFT_OUT = 2  # beside 0, normal, and 1, anomalous
CURVES, DECISIONS = ("roc_auc", "average_precision"), ("iou", "precision", "recall", "f1")
PIXELS = ("pixels", "anomalous_pixels", "decided_pixels", "left_out_pixels")
COUNTS = (*PIXELS, "images", "images_left_out")
# Precision is not defined for an image in which nothing was decided.
IMAGES = tuple(f"image_{name}" for name in (*DECISIONS, *CURVES) if name != "precision")


def decision_metrics(hits: int, decided: int, anomalous: int) -> dict[str, float]:
    """IoU, precision, recall and F1 of counted pixels, less those that divide by 0.

    >>> decision_metrics(hits=2, decided=4, anomalous=2)
    {'iou': 0.5, 'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    >>> decision_metrics(hits=0, decided=0, anomalous=3)
    {'iou': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    ratios = {
        "iou": (hits, decided + anomalous - hits),
        "precision": (hits, decided),
        "recall": (hits, anomalous),
        "f1": (2 * hits, decided + anomalous),
    }
    return {name: part / whole for name, (part, whole) in ratios.items() if whole}


def curve_metrics(scores: NDArray[Any], classes: NDArray[Any]) -> dict[str, float]:
    """ROC-AUC and average precision of the pixels that count, less what is not defined.

    Args:
        scores: One for each pixel.
        classes: 0 where normal, 1 where anomalous, 2 where left out.
    """
    used = classes != LEFT_OUT
    scores, targets = scores[used], classes[used] == 1
    metrics: dict[str, float] = {}
    if targets.any():
        if not targets.all():
            metrics["roc_auc"] = roc_auc(scores, targets)
        metrics["average_precision"] = average_precision(scores, targets)
    return metrics


@node
class AnomalyDetectionMetrics(TorchNode):
    """Metrics of decisions and logits (B, H, W, 1) against targets, over a whole stage.

    ``iou``, ``precision``, ``recall`` and ``f1`` are pooled over all pixels of the stage,
    ``roc_auc`` and ``average_precision`` are exact; nothing depends on the batch size or the
    order. ``image_iou``, ``image_recall``, ``image_f1``, ``image_roc_auc`` and
    ``image_average_precision`` are means over the images that hold both classes. The counts are
    ``pixels``, ``anomalous_pixels``, ``decided_pixels``, ``left_out_pixels``, ``images`` and
    ``images_left_out``.

    A metric that is not defined is left out, and a count says why: without anomalous pixels there
    is no recall, ROC-AUC or average precision, without decided pixels no precision, without either
    no IoU and no F1, without normal pixels no ROC-AUC; images of one class are counted in
    ``images_left_out``; without ``logits`` nothing is said of the curves. Pixels that are not
    valid, and those with a NaN logit, count in ``left_out_pixels`` alone.

    With logits, 5 bytes a pixel are kept on the device until the stage ends.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    targets = Input("B H W 1", dtype="bool", doc="True where an anomaly is.")
    logits = Input("B H W 1", optional=True, doc="Scores or logits, for the curves.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    metrics = Output(METRICS)
    locality = "image"
    stages = ("train", "val", "test")
    metric_names: ClassVar[tuple[str, ...]] = (*CURVES, *DECISIONS, *COUNTS, *IMAGES)
    example: ClassVar[Mapping[str, object]] = {}

    def __post_init__(self) -> None:
        self.measure_start("")

    def measure_start(self, stage: str) -> None:
        """Forget what was gathered."""
        self._stage = stage
        self._counts, self._scores, self._classes = Rows(), Rows(), Rows()

    def forward(
        self,
        decisions: Tensor,
        targets: Tensor,
        logits: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Take in one batch; the metrics come when the stage ends."""
        counts = torch.ones_like(targets) if valid is None else valid
        if logits is not None:
            logits = logits.detach().float()
            counts = counts & ~logits.isnan()
        decided, anomalous = decisions & counts, targets & counts
        parts = (decided & anomalous, decided, anomalous, counts, torch.ones_like(counts))
        self._counts.add(torch.stack([part.flatten(1).sum(1) for part in parts], 1))
        if logits is not None:
            self._scores.add(logits)
            self._classes.add(anomalous.to(torch.uint8).masked_fill(~counts, LEFT_OUT))
        return {}

    def _warn_of_one_class(self, anomalous: int, used: int) -> None:
        if used and anomalous in (0, used):
            what = "no pixel is anomalous" if anomalous == 0 else "every pixel is anomalous"
            cure = "check the masks, and the data node's class numbers"
            text = f"{self.label}: {what} in the stage {self._stage!r}, so some metrics are missing"
            warnings.warn(f"{text}: {cure}", stacklevel=2)

    def measure_end(self) -> Batch:
        """The metrics of everything since ``measure_start``, which is then forgotten."""
        counts = self._counts.array().astype(np.int64, copy=False).reshape(-1, 5)
        scores, classes = self._scores.array(), self._classes.array()
        self.measure_start(self._stage)
        pooled: list[int] = counts.sum(0).tolist()
        images: list[list[int]] = counts.tolist()
        mixed = [i for i, (_, _, anomalous, used, _) in enumerate(images) if 0 < anomalous < used]
        self._warn_of_one_class(anomalous=pooled[2], used=pooled[3])
        metrics = decision_metrics(*pooled[:3])
        each = [decision_metrics(*images[i][:3]) for i in mixed]
        if len(scores):
            metrics |= curve_metrics(scores, classes)
            ends = np.cumsum([0, *(image[-1] for image in images)])
            for image, i in zip(each, mixed, strict=True):
                one = slice(ends[i], ends[i + 1])
                image |= curve_metrics(scores[one], classes[one])
        metrics |= {
            f"image_{name}": math.fsum(image[name] for image in each) / len(each)
            for name in (each[0] if each else ())
            if name != "precision"  # not defined for an image in which nothing was decided
        }
        _, decided, anomalous, used, seen = pooled
        metrics |= {
            "pixels": used,
            "anomalous_pixels": anomalous,
            "decided_pixels": decided,
            "left_out_pixels": seen - used,
            "images": len(images),
            "images_left_out": len(images) - len(mixed),
        }
        return {"metrics": metrics}
