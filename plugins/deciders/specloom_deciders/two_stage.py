"""First whether an image holds an anomaly at all, then where."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_deciders.quantile import check_quantile, quantile_mask

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


@node
class TwoStageBinaryDecider(TorchNode):
    """Decides by quantile, but only in images whose highest scores are high enough.

    An image of scores (B, H, W, 1) holds an anomaly if the mean of its top fraction of pixels
    reaches ``image_threshold``; its decisions are then those of QuantileBinaryDecider, else all
    are False. Raw values are compared, no sigmoid is taken. NaN is decided False.

    Args:
        image_threshold: The least mean of the top fraction, in the scores' own unit, of any range.
        top_k_fraction: The fraction of an image's finite pixels that is averaged (over 0, at
            most 1); at least one pixel is.
        quantile: The fraction of an image's pixels that lies below the threshold, from 0 to 1.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    logits = Input("B H W 1", doc="Scores or logits of an anomaly.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    locality = "image"
    example = {"image_threshold": 0.5, "top_k_fraction": 0.001, "quantile": 0.995}

    image_threshold: float = 0.5
    top_k_fraction: float = 0.001
    quantile: float = 0.995

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        check_quantile(self.quantile)
        if not 0 < self.top_k_fraction <= 1:
            raise ConfigError(
                f"top_k_fraction is a fraction of the pixels, got {self.top_k_fraction}",
                fix="set a top_k_fraction over 0 and at most 1, such as 0.001",
            )
        if math.isnan(self.image_threshold):
            raise ConfigError("image_threshold is NaN", fix="set a number")

    def forward(self, logits: Tensor) -> Batch:
        """Gate each image's quantile mask with the mean of its highest scores."""
        means = top_mean(logits.float().flatten(1), self.top_k_fraction)
        gate = (means >= self.image_threshold)[:, None, None, None]
        return {"decisions": quantile_mask(logits, self.quantile) & gate}
