"""The moments of two samples together, from those of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SampleMoments(NamedTuple):
    """Size, mean and scatter of a sample."""

    size: int
    """The number of rows."""
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
    size = first.size + second.size
    share = second.size / size
    gap = second.mean - first.mean
    squared_gap = gap.square()
    if first.scatter.dim() > first.mean.dim():
        squared_gap = torch.outer(gap, gap)
    mean = first.mean + gap * share
    scatter = first.scatter + second.scatter + squared_gap * first.size * share
    return SampleMoments(size, mean, scatter)
