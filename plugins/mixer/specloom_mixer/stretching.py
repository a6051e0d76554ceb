"""Scaling of each image's channels to the range from 0 to 1."""

from __future__ import annotations

import torch
from torch import Tensor


def stretch_to_unit(values: Tensor, eps: float) -> Tensor:
    """(v - low) / max(high - low, eps) for each image and channel of (B, K, N); differentiable.

    ``low`` and ``high`` are the smallest and the largest value that is finite. What is not finite
    becomes NaN, and spoils neither the limits nor the gradients of the others.

    Args:
        values: N pixels of K channels of B images.
        eps: The smallest range that is stretched to 1.
    """
    usable = values.detach().isfinite()
    low = torch.where(usable, values, torch.inf).amin(2, keepdim=True)
    high = torch.where(usable, values, -torch.inf).amax(2, keepdim=True)
    made = (torch.where(usable, values, low) - low) / (high - low).clamp(min=eps)
    return torch.where(usable, made, torch.nan)
