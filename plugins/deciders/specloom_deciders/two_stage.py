"""First whether an image holds an anomaly at all, then where."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_deciders.counted import counted_scores
from specloom_deciders.quantile import check_quantile, check_value, pixel_levels, pixel_mask

ROUNDING = 1e-6
"""Added before a share is rounded down: 0.29 * 100 is 28.999999999999996."""


def top_mean(scores: Tensor, fraction: float) -> Tensor:
    """The mean of the largest scores of each row of (B, N), in float64 (B,).

    Their number is ``fraction`` of the row's finite scores, rounded down, at least one; scores
    that are not finite do not count. A row without a finite score gives minus infinity.
    """
    finite = scores.isfinite()
    pixels = scores.shape[1]
    most = max(1, min(pixels, math.floor(pixels * fraction + ROUNDING)))
    largest = scores.masked_fill(~finite, -math.inf).topk(most, dim=1).values.double()
    counts = finite.sum(1).double()
    averaged = (counts * fraction + ROUNDING).floor().clamp(min=1)
    averaged = torch.minimum(averaged, counts)
    used = torch.arange(most, device=scores.device) < averaged[:, None]
    total = _row_sums(largest.masked_fill(~used, 0.0))
    return torch.where(averaged > 0, total / averaged, -math.inf)


def _row_sums(values: Tensor) -> Tensor:
    """Sums of the rows of (B, K), added in halves: each row's bits depend on that row alone."""
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        halves = values[:, :half] + values[:, half : 2 * half]
        odd = values[:, 2 * half :]
        values = torch.cat([halves, odd], 1)
    return values[:, 0]


def check_image_threshold(image_threshold: float) -> None:
    """Raise ConfigError if ``image_threshold`` is NaN."""
    if math.isnan(image_threshold):
        raise ConfigError("image_threshold is NaN", fix="set a number")


@node
class TwoStageBinaryDecider(TorchNode):
    """Decides by quantile, but only in images whose highest scores are high enough.

    An image of scores (B, H, W, 1) holds an anomaly if the mean of its top fraction of pixels
    reaches ``image_threshold``; its decisions are then those of QuantileBinaryDecider, else all
    are False. Raw values are compared, no sigmoid is taken. Pixels that are not valid, and those
    with a NaN score, are decided False and reported as unjudged.

    Args:
        image_threshold: The least mean of the top fraction, in the scores' own unit, of any range.
        top_k_fraction: The fraction of an image's finite pixels that is averaged (over 0, at
            most 1); at least one pixel is.
        quantile: The fraction of an image's pixels that lies below the threshold, from 0 to 1.
        value: The least score of an anomalous pixel, instead of a quantile.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    logits = Input("B H W 1", doc="Scores or logits of an anomaly.")
    valid = Input("B H W 1", dtype="bool", optional=True, labelled=False, doc="Pixels to decide.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    unjudged = Output("B H W 1", dtype="bool", doc="True where nothing was decided.")
    locality = "image"
    thresholds: ClassVar[tuple[str, ...]] = ("quantile", "value", "image_threshold")
    example = {"image_threshold": 0.5, "top_k_fraction": 0.001, "quantile": 0.995}

    image_threshold: float = 0.5
    top_k_fraction: float = 0.001
    quantile: float = 0.995
    value: float | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        check_quantile(self.quantile)
        check_value(self.value)
        if not 0 < self.top_k_fraction <= 1:
            raise ConfigError(
                f"top_k_fraction is a fraction of the pixels, got {self.top_k_fraction}",
                fix="set a top_k_fraction over 0 and at most 1, such as 0.001",
            )
        check_image_threshold(self.image_threshold)

    def calibrate(
        self,
        *,
        image_threshold: float | None = None,
        quantile: float | None = None,
        value: float | None = None,
    ) -> None:
        """Decide from now on with these thresholds; those that are None stay as they are.

        A ``quantile`` replaces the value.

        Raises:
            ConfigError: One is out of its range.
        """
        if image_threshold is not None:
            check_image_threshold(image_threshold)
            self.image_threshold = image_threshold
        if quantile is not None:
            check_quantile(quantile)
            self.quantile = quantile
            self.value = None
        if value is not None:
            check_value(value)
            self.value = value

    def decision_levels(
        self, parameter: str, logits: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """The largest ``quantile`` or ``value`` with which each pixel is decided, (B, H, W, 1).

        It is that of an image that holds an anomaly.
        """
        return pixel_levels(parameter, counted_scores(logits, valid))

    def image_scores(self, logits: Tensor, valid: Tensor | None = None) -> Tensor:
        """The mean of the top fraction of each image, float64 (B,)."""
        return top_mean(counted_scores(logits, valid).flatten(1), self.top_k_fraction)

    def forward(self, logits: Tensor, valid: Tensor | None = None) -> Batch:
        """Gate each image's decisions with the mean of its highest scores."""
        scores = counted_scores(logits, valid)
        gate = self.image_scores(scores) >= self.image_threshold
        decisions = pixel_mask(scores, self.quantile, self.value) & gate[:, None, None, None]
        return {"decisions": decisions, "unjudged": scores.isnan()}
