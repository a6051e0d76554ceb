"""A differentiable intersection over union."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, node
from specloom_losses.pooled import PooledLoss, usable

PIXELS = (1, 2, 3)
LEAST_RANGE = 1e-30
"""A range below this, or below the rounding of its ends, is none: its inverse would overflow."""


def min_max(scores: Tensor, keep: Tensor) -> Tensor:
    """Scores (B, H, W, 1) scaled by the range of the kept ones of each image; 0 without a range."""
    some = keep.any(dim=1).any(dim=1).any(dim=1)[:, None, None, None]
    low = torch.where(keep, scores, torch.inf).amin(PIXELS, keepdim=True)
    high = torch.where(keep, scores, -torch.inf).amax(PIXELS, keepdim=True)
    low, high = torch.where(some, low, 0), torch.where(some, high, 0)
    rounding = torch.finfo(scores.dtype).eps * torch.maximum(low.abs(), high.abs())
    span = high - low
    wide = (span > rounding) & (span > LEAST_RANGE)
    return torch.where(wide, (scores - low) / torch.where(wide, span, 1), 0)


def soft_iou(shares: Tensor, targets: Tensor, keep: Tensor, smooth: float) -> Tensor:
    """(intersection + smooth) / (union + smooth) of each image, (B,), float64.

    Images without a kept target, which have no such value, give 1 without a gradient.

    Args:
        shares: How anomalous a pixel is, from 0 to 1, (B, H, W, 1).
        targets: Where the anomalies are, bool (B, H, W, 1).
        keep: Pixels that count, bool (B, H, W, 1).
        smooth: Added to both sides.
    """
    found = torch.where(keep & targets, shares, 0).sum(PIXELS, dtype=torch.float64)
    beyond = torch.where(keep & ~targets, shares, 0).sum(PIXELS, dtype=torch.float64)
    wanted = (keep & targets).sum(PIXELS)
    # The union is what is wanted and what lies beyond it: no difference that could cancel.
    union = torch.where(wanted > 0, wanted + beyond, 1)
    return torch.where(wanted > 0, (found + smooth) / (union + smooth), 1)


@node
class IoULoss(PooledLoss):
    """One minus the soft intersection over union, averaged over the images that have anomalies.

    weight * mean(1 - (sum(p t) + smooth) / (sum(p + t - p t) + smooth)), with p the normalised
    scores. Images without anomalies are left out; where no image has any, the loss is 0 with a
    zero gradient. Each image is normalised alone, so that what it adds to the sum does not
    depend on its batch. Pixels that are not valid, NaN or infinite are left out.

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
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    locality = "batch"
    example: ClassVar[Mapping[str, object]] = {"normalize_method": "minmax"}

    weight: float = 1.0
    smooth: float = 1e-6
    normalize_method: Literal["sigmoid", "clamp", "minmax"] = "sigmoid"

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        if not (math.isfinite(self.smooth) and self.smooth >= 0):
            fix = "give a smooth of 0 or more"
            raise ConfigError(f"{self.label}: smooth is {self.smooth}", fix=fix)

    def forward(self, predictions: Tensor, targets: Tensor, valid: Tensor | None = None) -> Batch:
        """The loss of (B, H, W, 1) scores against a mask of the same shape."""
        keep = usable(predictions, valid)
        scores = torch.where(keep, predictions, 0)
        if self.normalize_method == "sigmoid":
            part = scores.sigmoid()
        elif self.normalize_method == "clamp":
            part = scores.clamp(0, 1)
        else:
            part = min_max(scores, keep)
        total = (1 - soft_iou(part, targets, keep, self.smooth)).sum()
        count = (keep & targets).any(dim=1).any(dim=1).any(dim=1).sum()
        return self.weighted(total, count, predictions.dtype)
