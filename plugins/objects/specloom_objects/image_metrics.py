"""Escapes and false rejects of whole images."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from specloom import Batch, ConfigError, Input, node
from specloom_objects.collected import counted_pixels
from specloom_objects.intervals import clopper_pearson
from specloom_objects.stage_metrics import StageMetrics


@node
class ImageMetrics(StageMetrics):
    """Escapes and false rejects: how well whole images are accepted and rejected, over a stage.

    An image is rejected if at least ``min_pixels`` of its pixels are decided, else accepted. It
    is anomalous if at least one of its pixels is, else clean. An escape is an anomalous image
    that is accepted, a false reject a clean image that is rejected. ``escape_rate`` is the share
    of escapes in the anomalous images, ``false_reject_rate`` that of false rejects in the clean
    ones, each with the ends of its exact two-sided confidence interval (Clopper and Pearson,
    1934, Biometrika 26(4):404-413), ``_low`` and ``_high``. The counts are ``escapes``,
    ``false_rejects``, ``anomalous_images``, ``clean_images`` and ``unjudged_images``. A rate of
    no image is omitted; nothing depends on the batch size or the order.

    Decisions, targets and the rest are (B, H, W, 1). Pixels that are not valid, and those with a
    NaN score, count nowhere. An image without any other pixel is unjudged: neither accepted nor
    rejected.

    Args:
        min_pixels: The least number of decided pixels of an image that is rejected.
        confidence: The probability with which an interval covers the rate, over 0 and below 1.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    scores = Input("B H W 1", optional=True, doc="Scores or logits; NaN was not evaluated.")
    columns: ClassVar[Mapping[str, tuple[DTypeLike, int]]] = {
        "counts": (np.int64, 3),  # of each image: decided, anomalous and counted pixels
    }
    metric_names: ClassVar[tuple[str, ...]] = (
        "escape_rate",
        "escape_rate_low",
        "escape_rate_high",
        "false_reject_rate",
        "false_reject_rate_low",
        "false_reject_rate_high",
        "escapes",
        "false_rejects",
        "anomalous_images",
        "clean_images",
        "unjudged_images",
    )

    min_pixels: int = 1
    confidence: float = 0.95

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        if self.min_pixels < 1:
            raise ConfigError(f"min_pixels is {self.min_pixels}", fix="set at least 1 pixel")
        if math.isnan(self.confidence) or not 0 < self.confidence < 1:
            raise ConfigError(
                f"confidence is a probability, got {self.confidence}",
                fix="set a confidence over 0 and below 1, such as 0.95",
            )

    def forward(self, decisions: Any, targets: Any, scores: Any = None, valid: Any = None) -> Batch:
        """Count the pixels of one batch; the metrics come when the stage ends."""
        counts = counted_pixels(decisions, valid, scores)
        masks = (decisions & counts, targets & counts, counts)
        rows = np.stack([mask.reshape(len(mask), -1).sum(1) for mask in masks], 1)
        self.collect(counts=rows)
        return {}

    def metrics_of(self, collected: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Escapes and false rejects of the images of a stage."""
        decided, anomalous, counted = collected["counts"].T
        judged = counted > 0
        rejected = decided >= self.min_pixels
        is_anomalous = judged & (anomalous > 0)
        is_clean = judged & (anomalous == 0)
        escapes = int((is_anomalous & ~rejected).sum())
        false_rejects = int((is_clean & rejected).sum())
        metrics: dict[str, float] = {}
        metrics |= self._rate("escape_rate", escapes, int(is_anomalous.sum()))
        metrics |= self._rate("false_reject_rate", false_rejects, int(is_clean.sum()))
        metrics |= {
            "escapes": escapes,
            "false_rejects": false_rejects,
            "anomalous_images": int(is_anomalous.sum()),
            "clean_images": int(is_clean.sum()),
            "unjudged_images": int((~judged).sum()),
        }
        return metrics

    def _rate(self, name: str, count: int, total: int) -> dict[str, float]:
        """A share and the ends of its interval, by name; nothing of no image."""
        if total == 0:
            return {}
        low, high = clopper_pearson(count, total, self.confidence)
        return {name: count / total, f"{name}_low": low, f"{name}_high": high}
