"""A threshold at a quantile of each image's own scores."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode


def check_quantile(quantile: float) -> None:
    """Raise ConfigError unless ``quantile`` is from 0 to 1."""
    if not 0 <= quantile <= 1:
        raise ConfigError(
            f"quantile is a fraction of the pixels, got {quantile}",
            fix="set a quantile from 0 to 1, such as 0.995",
        )


def image_quantiles(scores: Tensor, quantile: float) -> Tensor:
    """The quantile of each row of scores (B, N), without NaN, as float64 (B,).

    Interpolated linearly between the two nearest scores, as NumPy does by default, without the
    limit of ``torch.quantile`` to 2**24 elements. Where the lower of the two is infinite and the
    quantile lies between them, it is the upper one. A row of NaN alone gives minus infinity.
    """
    pixels = scores.shape[1]
    missing = scores.isnan()
    # Only the scores above the quantile are sorted. Excluded pixels never make their number
    # larger than it is for a full row; one more is taken for the rounding of the product.
    count = min(pixels, pixels - math.floor(quantile * (pixels - 1)) + 1)
    largest = scores.masked_fill(missing, -math.inf).topk(count, dim=1).values
    last = (pixels - missing.sum(1) - 1).clamp(min=0)
    position = last.double() * quantile
    lower = _at(largest, last - position.floor().long())
    upper = _at(largest, last - position.ceil().long())
    return _interpolate(lower, upper, position - position.floor())


def _at(largest: Tensor, places: Tensor) -> Tensor:
    """One score of each row of (B, K), the largest being at place 0, as float64 (B,)."""
    places = places.clamp(0, largest.shape[1] - 1)
    return largest.gather(1, places[:, None])[:, 0].double()


def _interpolate(lower: Tensor, upper: Tensor, weight: Tensor) -> Tensor:
    """``lower`` at a weight of 0, ``upper`` at 1; exact at both ends, as NumPy does it."""
    gap = upper - lower
    near_lower = lower + gap * weight
    near_upper = upper - gap * (1 - weight)
    between = torch.where(weight < 0.5, near_lower, near_upper)
    finite = lower.isfinite() & upper.isfinite()
    return torch.where(finite, between, torch.where(weight > 0, upper, lower))


def quantile_mask(logits: Tensor, quantile: float) -> Tensor:
    """Where scores (B, H, W, 1) reach the quantile of their image and exceed its minimum: bool."""
    rows = logits.float().flatten(1)
    exact = image_quantiles(rows, quantile)
    # Round up to float32: a float32 score reaches the exact quantile where it reaches this one.
    rounded = exact.float()
    next_up = rounded.nextafter(torch.full_like(rounded, math.inf))
    cut = torch.where(rounded.double() < exact, next_up, rounded)
    lowest = rows.masked_fill(rows.isnan(), math.inf).amin(1)
    mask = (rows >= cut[:, None]) & (rows > lowest[:, None])
    return mask.view(logits.shape)


@node
class QuantileBinaryDecider(TorchNode):
    """Decides for an anomaly where a score (B, H, W, 1) reaches a quantile of its own image.

    The quantile is taken per image, of all pixels that are not NaN. Nothing is decided where
    the score is the image's minimum, so that a constant image has no anomalies. NaN is decided
    False. Any scores will do, for they are only compared with each other.

    Args:
        quantile: The fraction of an image's pixels that lies below the threshold, from 0 to 1.

    Raises:
        ConfigError: The quantile is not from 0 to 1.
    """

    logits = Input("B H W 1", doc="Scores or logits of an anomaly.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    locality = "image"
    example = {"quantile": 0.995}

    quantile: float = 0.995

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the quantile."""
        check_quantile(self.quantile)

    def forward(self, logits: Tensor) -> Batch:
        """Compare each pixel's score with the quantile of its image."""
        return {"decisions": quantile_mask(logits, self.quantile)}
