"""Which pixels deciders decide, and thresholds that compare as the float32 scores do."""

import math

import torch
from torch import Tensor


def counted_scores(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Scores (B, H, W, 1) as float32, NaN where they are not ``valid``."""
    counted = scores.float()
    if valid is None:
        return counted
    return counted.masked_fill(~valid, math.nan)


def float32_at_least(value: float) -> float:
    """The smallest float32 that is at least ``value``."""
    rounded = torch.tensor(value, dtype=torch.float64, device="cpu").float()
    if rounded.double() < value:
        rounded = torch.nextafter(rounded, torch.full_like(rounded, math.inf))
    return rounded.item()
