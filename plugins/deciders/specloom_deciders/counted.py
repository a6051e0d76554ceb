"""Which pixels deciders decide, and thresholds that compare as the float32 scores do."""

import math

import numpy as np
from torch import Tensor


def counted_scores(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Scores (B, H, W, 1) as float32, NaN where they are not ``valid``."""
    counted = scores.float()
    if valid is None:
        return counted
    return counted.masked_fill(~valid, math.nan)


def float32_at_least(value: float) -> float:
    """The smallest float32 that is at least ``value``."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        rounded = np.float32(value)
        if float(rounded) < value:
            rounded = np.nextafter(rounded, np.float32(math.inf))
    return float(rounded)
