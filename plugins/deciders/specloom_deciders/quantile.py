"""A threshold at a quantile of each image's own scores."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_deciders.counted import counted_scores, float32_at_least


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


def quantile_mask(scores: Tensor, quantile: float) -> Tensor:
    """Where scores (B, H, W, 1) reach the quantile of their image and exceed its minimum: bool."""
    rows = scores.flatten(1)
    exact = image_quantiles(rows, quantile)
    # Round up to float32: a float32 score reaches the exact quantile where it reaches this one.
    rounded = exact.float()
    next_up = rounded.nextafter(torch.full_like(rounded, math.inf))
    cut = torch.where(rounded.double() < exact, next_up, rounded)
    lowest = rows.masked_fill(rows.isnan(), math.inf).amin(1)
    mask = (rows >= cut[:, None]) & (rows > lowest[:, None])
    return mask.view(scores.shape)


def quantile_levels(scores: Tensor) -> Tensor:
    """The largest quantile with which each pixel is decided, float64 (B, H, W, 1).

    It is the share of its image's other pixels that score no more. An image's minimum, which is
    never decided, has minus infinity, and NaN stays NaN.
    """
    rows = scores.flatten(1)
    counts = (~rows.isnan()).sum(1, keepdim=True)
    ranked = rows.masked_fill(rows.isnan(), math.inf).sort(1).values
    last = torch.minimum(torch.searchsorted(ranked, rows.contiguous(), right=True), counts) - 1
    levels = last.double() / (counts - 1).clamp(min=1)
    levels = torch.where(rows > ranked[:, :1], levels, -math.inf)
    return torch.where(rows.isnan(), math.nan, levels).view(scores.shape)


def pixel_mask(scores: Tensor, quantile: float, value: float | None) -> Tensor:
    """Where scores (B, H, W, 1) reach the value, or else the quantile of their image: bool."""
    if value is None:
        return quantile_mask(scores, quantile)
    return scores >= float32_at_least(value)


def pixel_levels(parameter: str, scores: Tensor) -> Tensor:
    """The largest ``quantile`` or ``value`` with which each pixel is decided, (B, H, W, 1)."""
    if parameter == "quantile":
        return quantile_levels(scores)
    return scores


def check_value(value: float | None) -> None:
    """Raise ConfigError if ``value`` is NaN."""
    if value is not None and math.isnan(value):
        raise ConfigError("value is NaN", fix="set a number, or remove it")


@node
class QuantileBinaryDecider(TorchNode):
    """Decides for an anomaly where a score (B, H, W, 1) reaches a quantile of its own image.

    The quantile is taken per image, of all valid pixels that are not NaN. Nothing is decided where
    the score is the image's minimum, so that a constant image has no anomalies. Any scores will
    do, for they are only compared with each other. With ``value`` scores are compared with it
    instead, the same in all images. Pixels that are not valid, and those with a NaN score, are
    decided False and reported as unjudged.

    Args:
        quantile: The fraction of an image's pixels that lies below the threshold, from 0 to 1.
        value: The least score of an anomaly, instead of a quantile.

    Raises:
        ConfigError: The quantile is not from 0 to 1, or the value is NaN.
    """

    logits = Input("B H W 1", doc="Scores or logits of an anomaly.")
    valid = Input("B H W 1", dtype="bool", optional=True, labelled=False, doc="Pixels to decide.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    unjudged = Output("B H W 1", dtype="bool", doc="True where nothing was decided.")
    locality = "image"
    thresholds: ClassVar[tuple[str, ...]] = ("quantile", "value")
    example = {"quantile": 0.995}

    quantile: float = 0.995
    value: float | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        check_quantile(self.quantile)
        check_value(self.value)

    def calibrate(self, *, quantile: float | None = None, value: float | None = None) -> None:
        """Decide from now on by this quantile, or by this value.

        Raises:
            ConfigError: The quantile is not from 0 to 1, or the value is NaN.
        """
        if quantile is not None:
            check_quantile(quantile)
            self.quantile = quantile
        check_value(value)
        self.value = value

    def decision_levels(
        self, parameter: str, logits: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """The largest ``quantile`` or ``value`` with which each pixel is decided, (B, H, W, 1)."""
        return pixel_levels(parameter, counted_scores(logits, valid))

    def forward(self, logits: Tensor, valid: Tensor | None = None) -> Batch:
        """Compare each pixel's score with the quantile of its image, or with the value."""
        scores = counted_scores(logits, valid)
        decisions = pixel_mask(scores, self.quantile, self.value)
        return {"decisions": decisions, "unjudged": scores.isnan()}
