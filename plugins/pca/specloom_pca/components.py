"""Principal components of a covariance."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Components(NamedTuple):
    """The leading principal components, in float64, by falling variance."""

    directions: Tensor
    """Unit vectors, (K, C); zeros where the data do not support a component."""
    variances: Tensor
    """The variance along each direction, (K,)."""
    total: Tensor
    """The variance of all bands together, ()."""
    rank: int
    """How many directions the data support, of all C."""


def principal_components(covariance: Tensor, count: int, eps: float) -> Components:
    """The ``count`` leading components of ``covariance`` (C, C).

    The sign of a direction is fixed: its entry of the largest magnitude is positive, the first
    one where several are equal. That is scikit-learn's rule (``svd_flip`` by the rows of V).

    A direction along which the standard deviation is not above ``eps`` times the largest, or is
    not above rounding, is not supported: any vector of a whole subspace would do, and which one
    comes out would depend on rounding. Zeros stand in its place.

    Source: K. Pearson, Philosophical Magazine 2(11), 1901; H. Hotelling, Journal of Educational
    Psychology 24(6), 1933.

    Args:
        covariance: Symmetric, float64.
        count: K, at most C.
        eps: Relative to the standard deviation along the first component.
    """
    values, vectors = torch.linalg.eigh(covariance)
    values = values.flip(0)
    rows = vectors.mT.flip(0)
    rounding = len(values) * torch.finfo(values.dtype).eps
    supported = values > max(eps**2, rounding) * values[0].clamp(min=0)
    rows = rows[:count]
    values = torch.where(supported, values, 0)[:count]
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    rows = torch.where(supported[:count, None], rows * largest.sign(), 0)
    return Components(rows, values, covariance.diagonal().sum(), int(supported.sum()))


def standardising_factors(variances: Tensor) -> Tensor:
    """The factors that scale components to unit variance, (K,); 0 where a variance is 0."""
    positive = variances > 0
    return torch.where(positive, torch.where(positive, variances, 1).rsqrt(), 0)
