"""From a covariance to a whitening matrix."""

from __future__ import annotations

from ctypes import c_double, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor

from specloom_native.arguments import as_flags, library


class Whitening(NamedTuple):
    """The regularised correlation matrix of a covariance, its spectrum, and its whitening."""

    matrix: Tensor
    """The correlation matrix, (C, C); zeros where a band is not used."""
    factor: Tensor
    """What scales each band of the covariance, (C,)."""
    whitening: Tensor | None
    """The upper triangular W with S^-1 = W W^T, (C, C); None where the rank is not full."""
    rank: int
    """How many eigenvalues are supported."""
    smallest: float
    """The smallest supported eigenvalue; 1 without a band."""
    largest: float


def whiten(
    covariance: Tensor, bands: Tensor, eps: float, shrinkage: float, tolerance: float
) -> Whitening | None:
    """The whitening of S + eps^2 diag(S) + shrinkage * trace(S)/C * I; None if it is not finite.

    Args:
        covariance: S, float64 (C, C).
        bands: The bands that are used, bool (C,).
        eps: Relative to each band's standard deviation.
        shrinkage: Relative to the mean variance of the bands.
        tolerance: An eigenvalue is supported if it is above this, over the largest one.

    Raises:
        ValueError: Shapes, types or devices do not fit.
    """
    size = bands.numel()
    is_right = covariance.dtype == torch.float64 and covariance.is_cpu
    if not is_right or covariance.shape != (size, size):
        shape = tuple(covariance.shape)
        raise ValueError(f"covariance is {covariance.dtype} {shape} on {covariance.device}")
    used = as_flags(bands, size, "bands")
    values = covariance.detach().contiguous()
    kernels = library()
    results = torch.empty(2 * size * size + size + 2, dtype=torch.float64)
    lengths = [size * size, size * size, size, 2]
    matrix, whitening, factor, spectrum = torch.split(results, lengths)
    work = torch.empty(kernels.sums("whitening_work")(c_int64(size)), dtype=torch.float64)
    rank = kernels.sums("whiten")(
        c_void_p(values.data_ptr()),
        c_int64(size),
        c_void_p(None if used is None else used.data_ptr()),
        c_double(eps),
        c_double(shrinkage),
        c_double(tolerance),
        c_void_p(matrix.data_ptr()),
        c_void_p(factor.data_ptr()),
        c_void_p(whitening.data_ptr()),
        c_void_p(spectrum.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    if rank < 0:
        return None
    smallest, largest = spectrum.tolist()
    full = None
    if rank == int(bands.sum()):
        full = whitening.view(size, size)
    return Whitening(matrix.view(size, size), factor, full, rank, smallest, largest)
