"""A differentiable intersection over union."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, node
from specloom_losses.pooled import PooledLoss, usable_predictions

PIXELS = (1, 2, 3)
LEAST_RANGE = 1e-30
"""A range below this, or below the rounding of its ends, is none: its inverse would overflow."""


def min_max(scores: Tensor, usable: Tensor) -> Tensor:
    """Scores (B, H, W, 1) scaled by the range of each image's usable ones; 0 without a range."""
    has_usable = _any_pixel(usable)[:, None, None, None]
    lowest = torch.where(usable, scores, torch.inf).amin(PIXELS, keepdim=True)
    highest = torch.where(usable, scores, -torch.inf).amax(PIXELS, keepdim=True)
    low = torch.where(has_usable, lowest, 0)
    high = torch.where(has_usable, highest, 0)
    span = high - low
    rounding = torch.finfo(scores.dtype).eps * torch.maximum(low.abs(), high.abs())
    has_range = (span > rounding) & (span > LEAST_RANGE)
    divisor = torch.where(has_range, span, 1)
    return torch.where(has_range, (scores - low) / divisor, 0)


def _any_pixel(mask: Tensor) -> Tensor:
    """Whether an image has a pixel in the mask (B, H, W, 1), bool (B,)."""
    return mask.any(dim=1).any(dim=1).any(dim=1)


def soft_iou(shares: Tensor, targets: Tensor, usable: Tensor, smooth: float) -> Tensor:
    """(intersection + smooth) / (union + smooth) of each image, (B,), float64.

    Images without a usable target, which have no such value, give 1 without a gradient.

    Args:
        shares: How anomalous a pixel is, from 0 to 1, (B, H, W, 1).
        targets: Where the anomalies are, bool (B, H, W, 1).
        usable: Pixels that count, bool (B, H, W, 1).
        smooth: Added to both sides.
    """
    anomalous = usable & targets
    intersection = torch.where(anomalous, shares, 0).sum(PIXELS, dtype=torch.float64)
    outside = torch.where(usable & ~targets, shares, 0).sum(PIXELS, dtype=torch.float64)
    count = anomalous.sum(PIXELS)
    # The union is the targets and what lies outside of them: no difference that could cancel.
    union = torch.where(count > 0, count + outside, 1)
    return torch.where(count > 0, (intersection + smooth) / (union + smooth), 1)


@node
class IoULoss(PooledLoss):
    """One minus the soft intersection over union, averaged over the images that have anomalies.

    weight * mean(1 - (sum(p t) + smooth) / (sum(p + t - p t) + smooth)), with p the normalised
    scores. Images without anomalies are excluded; where no image has any, the loss is 0 with a
    zero gradient. Each image is normalised alone, so that what it adds to the sum does not
    depend on its batch. Pixels that are not valid, NaN or infinite are excluded.

    Source: M. Rahman, Y. Wang, "Optimizing intersection-over-union in deep neural networks for
    image segmentation", ISVC 2016.

    Args:
        weight: The factor of the loss; may be changed at any time.
        smooth: Added to intersection and union.
        normalize_method: From scores to [0, 1]: ``sigmoid`` for logits, ``clamp`` for scores
            that lie there already, ``minmax`` by the range of each image (a constant image
            gives 0 everywhere, without a gradient).

    Raises:
        ConfigError: ``weight`` or ``smooth`` is negative.
    """

    predictions = Input("B H W 1", doc="Scores or logits of being anomalous.")
    targets = Input("B H W 1", dtype="bool", doc="Where the anomalies are.")
    valid = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label, that count.",
    )
    locality = "batch"
    example: ClassVar[Mapping[str, object]] = {"normalize_method": "minmax"}

    weight: float = 1.0
    smooth: float = 1e-6
    normalize_method: Literal["sigmoid", "clamp", "minmax"] = "sigmoid"

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        if not (math.isfinite(self.smooth) and self.smooth >= 0):
            fix = "set a smooth of 0 or more"
            raise ConfigError(f"{self.label}: smooth is {self.smooth}", fix=fix)

    def forward(self, predictions: Tensor, targets: Tensor, valid: Tensor | None = None) -> Batch:
        """The loss of (B, H, W, 1) scores against a mask of the same shape."""
        usable = usable_predictions(predictions, valid)
        shares = self._normalize(torch.where(usable, predictions, 0), usable)
        total = (1 - soft_iou(shares, targets, usable, self.smooth)).sum()
        count = _any_pixel(usable & targets).sum()
        return self.weighted(total, count, predictions.dtype)

    def _normalize(self, scores: Tensor, usable: Tensor) -> Tensor:
        """Scores as shares from 0 to 1."""
        if self.normalize_method == "sigmoid":
            return scores.sigmoid()
        if self.normalize_method == "clamp":
            return scores.clamp(0, 1)
        return min_max(scores, usable)
