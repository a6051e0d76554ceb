"""Precision, recall and false alarms of whole objects."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from specloom import Batch, ConfigError, Input, SpecloomWarning, node
from specloom_objects.collected import counted_pixels
from specloom_objects.matching import Criterion, ObjectCounts, count_objects
from specloom_objects.regions import Connectivity, check_connectivity
from specloom_objects.stage_metrics import StageMetrics


def object_ratios(total: ObjectCounts) -> dict[str, float]:
    """Precision, recall and F1 of objects, without those that divide by 0.

    >>> object_ratios(ObjectCounts(objects=4, found=3, decided=2, correct=2, unjudged=0))
    {'object_precision': 1.0, 'object_recall': 0.75, 'object_f1': 0.8571428571428571}
    """
    ratios: dict[str, float] = {}
    if total.decided:
        ratios["object_precision"] = total.correct / total.decided
    if total.objects:
        ratios["object_recall"] = total.found / total.objects
    if len(ratios) == 2:
        precision, recall = ratios.values()
        ratios["object_f1"] = 0.0
        if precision + recall > 0:
            ratios["object_f1"] = 2 * precision * recall / (precision + recall)
    return ratios


@node
class ObjectMetrics(StageMetrics):
    """Metrics of decided objects against true ones, over a whole stage.

    An object is a connected region of decisions or targets (B, H, W, 1). By ``coverage``, an
    object is found if at least ``overlap`` of its pixels are decided, and a decided object is
    correct if at least ``overlap`` of its pixels are anomalous; two objects may be found by one
    region. By ``iou``, pairs of a true and a decided object are matched, each in one pair, whose
    intersection over union is at least ``overlap``, as many as possible.

    ``object_precision`` is the share of decided objects that are correct, ``object_recall`` the
    share of objects that are found, ``object_f1`` their harmonic mean, and
    ``false_objects_per_image`` the number of decided objects that are not correct, over all
    images, clean ones included. The counts are ``objects``, ``found_objects``,
    ``decided_objects``, ``false_objects``, ``unjudged_objects`` and ``object_images``. Everything
    is pooled over the stage; nothing depends on the batch size or the order. A metric that
    divides by 0 is omitted.

    Pixels that are not valid, and those with a NaN score, count in no area. An object without any
    other pixel is unjudged.

    Args:
        overlap: The least overlap, over 0 and at most 1.
        criterion: ``coverage`` or ``iou``.
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    scores = Input("B H W 1", optional=True, doc="Scores or logits; NaN was not evaluated.")
    columns: ClassVar[Mapping[str, tuple[DTypeLike, int]]] = {
        "counts": (np.int64, len(ObjectCounts._fields))
    }
    metric_names: ClassVar[tuple[str, ...]] = (
        "object_precision",
        "object_recall",
        "object_f1",
        "false_objects_per_image",
        "objects",
        "found_objects",
        "decided_objects",
        "false_objects",
        "unjudged_objects",
        "object_images",
    )

    overlap: float = 0.5
    criterion: Criterion = "coverage"
    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        check_connectivity(self.connectivity)
        if math.isnan(self.overlap) or not 0 < self.overlap <= 1:
            raise ConfigError(
                f"overlap is a share of an object, got {self.overlap}",
                fix="set an overlap over 0 and at most 1, such as 0.5",
            )

    def forward(self, decisions: Any, targets: Any, scores: Any = None, valid: Any = None) -> Batch:
        """Count the objects of one batch; the metrics come when the stage ends."""
        counts = counted_pixels(decisions, valid, scores)
        images = zip(decisions[..., 0], targets[..., 0], counts[..., 0], strict=True)
        rows = [
            count_objects(*image, self.overlap, self.criterion, self.connectivity)
            for image in images
        ]
        self.collect(counts=rows)
        return {}

    def metrics_of(self, collected: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Ratios and counts of the objects of a stage."""
        rows = collected["counts"]
        total = ObjectCounts(*rows.sum(0).tolist())
        self._warn_without_objects(len(rows), total)
        metrics = object_ratios(total)
        false_objects = total.decided - total.correct
        if len(rows):
            metrics["false_objects_per_image"] = false_objects / len(rows)
        metrics |= {
            "objects": total.objects,
            "found_objects": total.found,
            "decided_objects": total.decided,
            "false_objects": false_objects,
            "unjudged_objects": total.unjudged,
            "object_images": len(rows),
        }
        return metrics

    def _warn_without_objects(self, images: int, total: ObjectCounts) -> None:
        if images == 0 or total.objects or total.unjudged:
            return
        warnings.warn(
            f"node {self.name!r} (ObjectMetrics): there is no object in the stage "
            f"{self._stage!r}, so its recall is missing: check the masks, and the data node's "
            "class numbers",
            SpecloomWarning,
            stacklevel=2,
        )
