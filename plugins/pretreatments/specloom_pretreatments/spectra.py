"""Arithmetic of spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def centre(spectra: Tensor) -> Tensor:
    """``spectra`` (N, C) without the mean of each, in their own type, in new memory.

    The first band is subtracted first: a constant spectrum gives exactly 0, and the rounding of a
    large mean does not count.
    """
    shifted = spectra - spectra[:, :1]
    mean = shifted.mean(1, keepdim=True)
    if shifted.requires_grad:
        return shifted - mean
    return shifted.sub_(mean)


def divide(spectra: Tensor, divisor: Tensor, defined: Tensor) -> Tensor:
    """``spectra / divisor``, and NaN where it is not ``defined``, with finite gradients.

    Args:
        spectra: (N, C).
        divisor: (N, 1) or (N, C), as ``defined``, which is bool.
        defined: Where the result is defined.
    """
    if spectra.requires_grad:
        quotient = spectra / torch.where(defined, divisor, 1)
        return torch.where(defined, quotient, torch.nan)
    return spectra / torch.where(defined, divisor, torch.nan)
