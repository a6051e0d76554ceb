"""From a covariance to a whitening matrix: the linear algebra of Reed-Xiaoli detectors.

Everything works on the matrix scaled to unit diagonal (the correlation matrix, regularised), so
that nothing depends on the units of a band.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from specloom import ConfigError

RANK_TOLERANCE = 1e-12
"""Directions whose eigenvalue, over the largest one, is not above this are not supported."""


def check_regularisation(node: str, eps: float, shrinkage: float) -> None:
    """Raise ConfigError unless both are finite and not negative."""
    for name, value in (("eps", eps), ("shrinkage", shrinkage)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{node}: {name} is {value}", fix=f"set {name} to 0 or more")


class Correlation(NamedTuple):
    """A regularised covariance with unit diagonal."""

    matrix: Tensor
    """(..., C, C)."""
    factor: Tensor
    """What scales each band of the covariance, (..., C)."""


def scale_to_correlation(
    covariance: Tensor, bands: Tensor, eps: float, shrinkage: float
) -> Correlation:
    """The regularised covariance with unit diagonal, and the factor of each band that makes it so.

    The regularised covariance is S + eps^2 diag(S) + shrinkage * trace(S)/C * I, over the bands
    that are used; rows, columns and factors of the others are zero. Differentiable.

    Args:
        covariance: S, (..., C, C).
        bands: The bands used, bool (..., C).
        eps: Relative to each band's standard deviation.
        shrinkage: Relative to the mean variance of the bands.
    """
    variance = torch.where(bands, covariance.diagonal(dim1=-2, dim2=-1), 0)
    count = bands.sum(-1, keepdim=True).clamp(min=1)
    ridge = eps**2 * variance + shrinkage * variance.sum(-1, keepdim=True) / count
    # The inner `where` keeps the gradient finite at unused bands.
    total = torch.where(bands, variance + ridge, 1)
    factor = torch.where(bands, total.rsqrt(), 0)
    matrix = covariance * factor[..., :, None] * factor[..., None, :]
    off_diagonal = matrix.triu(1) + matrix.tril(-1)
    return Correlation(off_diagonal + torch.diag_embed(bands.to(matrix.dtype)), factor)


def cholesky_whitening(matrix: Tensor, factor: Tensor, bands: Tensor) -> Tensor:
    """The upper triangular W with S^-1 = W W^T, for positive definite ``matrix``; differentiable.

    Args:
        matrix: The result of ``scale_to_correlation``, (C, C).
        factor: The factors from it, (C,).
        bands: The bands used, bool (C,).
    """
    filled = matrix + torch.diag((~bands).to(matrix.dtype))
    # Without cholesky_ex's check of the result: that would make the host wait for a GPU.
    lower = torch.linalg.cholesky_ex(filled).L
    identity = torch.eye(len(factor), dtype=matrix.dtype, device=matrix.device)
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    whitening: Tensor = factor[:, None] * inverse.mT
    return whitening


def eigen_whitening(matrix: Tensor, factor: Tensor) -> Tensor:
    """A W with W W^T the pseudo-inverse of S on the directions that the data support.

    Directions at or below ``RANK_TOLERANCE`` are dropped: their columns of W are zero.

    Args:
        matrix: The result of ``scale_to_correlation``, (..., C, C).
        factor: The factors from it, (..., C).
    """
    values, vectors = torch.linalg.eigh(matrix)
    supported = values > RANK_TOLERANCE * values[..., -1:]
    roots = torch.where(supported, values.clamp(min=torch.finfo(values.dtype).tiny).rsqrt(), 0)
    whitening: Tensor = factor[..., :, None] * vectors * roots[..., None, :]
    return whitening


def whiten(
    covariance: Tensor, bands: Tensor, eps: float, shrinkage: float, *, full_rank: bool
) -> Tensor:
    """A W (C, C) with S^-1 = W W^T, upper triangular where ``full_rank``, for regularised S."""
    correlation = scale_to_correlation(covariance, bands, eps, shrinkage)
    return whiten_correlation(correlation, bands, full_rank=full_rank)


def whiten_correlation(correlation: Correlation, bands: Tensor, *, full_rank: bool) -> Tensor:
    """As ``whiten``, from what ``scale_to_correlation`` gave."""
    matrix, factor = correlation
    if full_rank:
        return cholesky_whitening(matrix, factor, bands)
    # Without shrinkage, and with it the rank is full, this matrix does not depend on the scale of
    # the bands: no gradient is lost by not differentiating its eigenvectors.
    return eigen_whitening(matrix.detach(), factor)


def condition_growth(factor: Tensor) -> float:
    """By how much a trained ``factor`` (C, C) may raise the condition of S."""
    if not bool(factor.isfinite().all()):
        return math.inf
    values = torch.linalg.svdvals(factor)
    return float(values[0] / values[-1]) ** 2


def spectrum(matrix: Tensor, bands: Tensor) -> tuple[int, float, float]:
    """The number of supported directions, and their smallest and largest eigenvalue."""
    used = matrix
    if not bool(bands.all()):
        used = matrix[bands][:, bands]
    values = torch.linalg.eigvalsh(used).tolist()
    if not values:
        return 0, 1.0, 1.0
    supported = [value for value in values if value > RANK_TOLERANCE * values[-1]]
    return len(supported), supported[0], supported[-1]
