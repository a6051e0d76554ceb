"""The moments of two samples together, from those of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SampleMoments(NamedTuple):
    """Size, mean and scatter of a sample."""

    size: int | Tensor
    """The number of rows; a tensor where the host shall not wait for it."""
    mean: Tensor
    """() or (C,)."""
    scatter: Tensor
    """The sum of (x - mean)^2, in the shape of ``mean``, or of (x - mean)(x - mean)^T, (C, C)."""


def merge_moments(first: SampleMoments, second: SampleMoments) -> SampleMoments:
    """The moments of both samples together; an empty sample returns the other one as it is.

    Source: T. Chan, G. Golub, R. LeVeque, The American Statistician 37(3), 1983, eq. 2.1.
    """
    if not first.size:
        return second
    if not second.size:
        return first
    return _merge(first, second, second.size / (first.size + second.size))


def merge_without_waiting(first: SampleMoments, second: SampleMoments) -> SampleMoments:
    """As ``merge_moments``, with a size of the second that the host does not look at.

    Args:
        first: Without rows its mean and its scatter are zero.
        second: As ``first``.
    """
    # In float64: torch divides whole numbers in float32.
    size = torch.as_tensor(first.size + second.size).double()
    return _merge(first, second, second.size / size.clamp(min=1))


def _merge(first: SampleMoments, second: SampleMoments, share: float | Tensor) -> SampleMoments:
    """The moments of both samples, the second of which has this share of the rows."""
    gap = second.mean - first.mean
    squared_gap = gap.square()
    if first.scatter.dim() > first.mean.dim():
        squared_gap = torch.outer(gap, gap)
    mean = first.mean + gap * share
    scatter = first.scatter + second.scatter + squared_gap * first.size * share
    return SampleMoments(first.size + second.size, mean, scatter)
