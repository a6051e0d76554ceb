"""From a covariance to a whitening matrix."""

from __future__ import annotations

from ctypes import byref, c_double, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor

from specloom_native.arguments import as_flags, as_vector, check_products, library


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


class Background(NamedTuple):
    """What the scores of a background follow from, in float64."""

    mean: Tensor
    """(C,)."""
    covariance: Tensor
    """(C, C)."""
    varying: Tensor
    """The bands that vary, bool (C,)."""
    whitening: Whitening | None
    """That of the bands that vary; None where it is not finite."""
    eigenvalues: Tensor
    """The smallest and the largest supported one, then the smallest without shrinkage, (3,)."""


def background(
    products: Tensor,
    shift: Tensor,
    count: int,
    *,
    constant: float,
    eps: float,
    shrinkage: float,
    tolerance: float,
) -> Background:
    """Mean and covariance from the sums of products of shifted rows, and the whitening of these.

    Args:
        products: The ``sums`` of ``Products``, float64 (C + 1, C + 1) in one piece.
        shift: What was subtracted from each row, (C,).
        count: How many rows were added.
        constant: A band varies if its standard deviation, over its mean, is above this.
        eps: As of ``whiten``.
        shrinkage: As of ``whiten``.
        tolerance: As of ``whiten``.

    Raises:
        ValueError: Shapes or types do not fit.
    """
    bands = products.shape[-1] - 1
    check_products(products)
    origin = as_vector(shift, bands, torch.float64, "shift")
    mean = torch.empty(bands, dtype=torch.float64)
    covariance = torch.empty(bands, bands, dtype=torch.float64)
    matrix = torch.empty(bands, bands, dtype=torch.float64)
    whitening = torch.empty(bands, bands, dtype=torch.float64)
    factor = torch.empty(bands, dtype=torch.float64)
    eigenvalues = torch.empty(3, dtype=torch.float64)
    varying = torch.empty(bands, dtype=torch.bool)
    varying_count = c_int64()
    sums = library().sums
    work = torch.empty(sums("background_work")(c_int64(bands)), dtype=torch.float64)
    rank = sums("background")(
        c_void_p(products.data_ptr()),
        c_int64(bands),
        c_void_p(origin.data_ptr()),
        c_double(count),
        c_double(constant),
        c_double(eps),
        c_double(shrinkage),
        c_double(tolerance),
        c_void_p(mean.data_ptr()),
        c_void_p(covariance.data_ptr()),
        c_void_p(varying.data_ptr()),
        byref(varying_count),
        c_void_p(matrix.data_ptr()),
        c_void_p(factor.data_ptr()),
        c_void_p(whitening.data_ptr()),
        c_void_p(eigenvalues.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    if rank < 0:
        return Background(mean, covariance, varying, None, eigenvalues)
    smallest, largest, _ = eigenvalues.tolist()
    full = whitening if rank == varying_count.value else None
    found = Whitening(matrix, factor, full, rank, smallest, largest)
    return Background(mean, covariance, varying, found, eigenvalues)
