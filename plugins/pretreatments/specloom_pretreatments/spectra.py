"""Arithmetic of spectra."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def centre(spectra: Tensor, out: Tensor | None = None) -> Tensor:
    """``spectra`` (N, C) without the mean of each, in their own type.

    The first band is subtracted first: a constant spectrum gives exactly 0, and the rounding of a
    large mean does not count.

    Args:
        spectra: The spectra.
        out: Where to write them; None for new memory, and for gradients.
    """
    shifted = torch.sub(spectra, spectra[:, :1], out=out)
    mean = shifted.mean(1, keepdim=True)
    return torch.sub(shifted, mean, out=out)


def divide(spectra: Tensor, divisor: Tensor, defined: Tensor, out: Tensor | None = None) -> Tensor:
    """``spectra / divisor``, and NaN where it is not ``defined``, with finite gradients.

    Args:
        spectra: (N, C).
        divisor: (N, 1) or (N, C), as ``defined``, which is bool.
        defined: Where the result is defined.
        out: Where to write the result; None for new memory, and for gradients.
    """
    if spectra.requires_grad:
        quotient = spectra / torch.where(defined, divisor, 1)
        return torch.where(defined, quotient, torch.nan)
    factor = torch.where(defined, 1 / divisor, torch.nan)
    return torch.mul(spectra, factor, out=out)


def norm_of(spectra: Tensor) -> Tensor:
    """The Euclidean norm of each row of ``spectra`` (N, C), (N, 1)."""
    norm: Tensor = torch.linalg.vector_norm(spectra, dim=1, keepdim=True)
    return norm


def is_normal(norm: Tensor) -> Tensor:
    """Where a norm is finite, above 0 and not out of the range of its squares, as ``norm``."""
    least = 1e3 * math.sqrt(torch.finfo(norm.dtype).tiny)
    return (norm > least) & (norm < torch.inf)
