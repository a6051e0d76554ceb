"""Metrics of scores over all thresholds: AUPRO, and false alarms at a rate of true positives."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from specloom import Batch, ConfigError, Input, SpecloomWarning, node
from specloom_objects.collected import counted_pixels
from specloom_objects.curves import aupro, false_alarm_rate
from specloom_objects.regions import Connectivity, check_connectivity, label
from specloom_objects.stage_metrics import StageMetrics


@node
class RegionMetrics(StageMetrics):
    """Metrics of scores against targets (B, H, W, 1) over all thresholds, over a whole stage.

    ``aupro`` is the area under the per-region overlap up to the false-positive rate
    ``fpr_limit``, divided by that rate: the overlap is the mean over anomalous regions of the
    share of a region's pixels that reach a threshold, so that a small region counts as much as a
    large one (Bergmann et al., 2021, IJCV 129:1038-1059). ``false_alarm_rate_at_tpr`` is the
    share of normal pixels that reach the highest threshold which a share ``tpr`` of the anomalous
    pixels reaches, and ``threshold_at_tpr`` that threshold. Both are exact, with ties, over the
    pixels of all images, clean ones included; nothing depends on the batch size or the order.
    The counts are ``regions``, ``unjudged_regions``, ``scored_pixels``, ``normal_pixels`` and
    ``unscored_pixels``. Without a region, or without a normal pixel, there are only counts.

    Pixels that are not valid, and those with a NaN score, count in ``unscored_pixels`` alone. A
    region without any other pixel is unjudged. 8 bytes a pixel stay in memory until the stage
    ends.

    Args:
        fpr_limit: The false-positive rate up to which the area is taken, over 0, at most 1.
        tpr: The true-positive rate at which false alarms are counted, over 0 and at most 1.
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    scores = Input("B H W 1", doc="Scores or logits of an anomaly.")
    columns: ClassVar[Mapping[str, tuple[DTypeLike, int]]] = {
        "scores": (np.float32, 0),
        "areas": (np.int32, 0),
        "counts": (np.int64, 3),  # of each image: regions, unjudged regions, excluded pixels
    }
    metric_names: ClassVar[tuple[str, ...]] = (
        "aupro",
        "false_alarm_rate_at_tpr",
        "threshold_at_tpr",
        "regions",
        "unjudged_regions",
        "scored_pixels",
        "normal_pixels",
        "unscored_pixels",
    )

    fpr_limit: float = 0.3
    tpr: float = 0.95
    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        check_connectivity(self.connectivity)
        for name in ("fpr_limit", "tpr"):
            value = getattr(self, name)
            if math.isnan(value) or not 0 < value <= 1:
                raise ConfigError(
                    f"{name} is a rate, got {value}", fix=f"set a {name} over 0 and at most 1"
                )

    def forward(self, scores: Any, targets: Any, valid: Any = None) -> Batch:
        """Take in one batch; the metrics come when the stage ends."""
        counts = counted_pixels(targets, valid, scores)
        images = zip(scores[..., 0], targets[..., 0], counts[..., 0], strict=True)
        for image, mask, counted in images:
            labels, regions = label(mask, self.connectivity)
            areas = np.bincount(labels[counted], minlength=regions + 1)
            unjudged = int((areas[1:] == 0).sum())
            areas[0] = 0
            row = (regions - unjudged, unjudged, counted.size - int(counted.sum()))
            self.collect(scores=image[counted], areas=areas[labels[counted]], counts=[row])
        return {}

    def metrics_of(self, collected: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Areas under curves, rates and counts of the pixels of a stage."""
        scores = collected["scores"]
        areas = collected["areas"]
        regions, unjudged, unscored = collected["counts"].sum(0).tolist()
        normal = int((areas == 0).sum())
        metrics: dict[str, float] = {}
        if 0 < normal < areas.size:
            metrics["aupro"] = aupro(scores, areas, self.fpr_limit)
            rate, threshold = false_alarm_rate(scores, areas > 0, self.tpr)
            metrics["false_alarm_rate_at_tpr"] = rate
            metrics["threshold_at_tpr"] = threshold
        elif areas.size:
            self._warn_of_one_class(normal)
        metrics |= {
            "regions": regions,
            "unjudged_regions": unjudged,
            "scored_pixels": areas.size,
            "normal_pixels": normal,
            "unscored_pixels": unscored,
        }
        return metrics

    def _warn_of_one_class(self, normal: int) -> None:
        what = "no pixel is anomalous" if normal else "every pixel is anomalous"
        warnings.warn(
            f"node {self.name!r} (RegionMetrics): {what} in the stage {self._stage!r}, so its "
            "metrics are missing: check the masks, and the data node's class numbers",
            SpecloomWarning,
            stacklevel=3,
        )
