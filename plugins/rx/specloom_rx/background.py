"""The background statistics of a Reed-Xiaoli detector."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom_rx.whitening import (
    RANK_TOLERANCE,
    Correlation,
    scale_to_correlation,
    spectrum,
)
from specloom_statistics import (
    background_pixels,
    native_kernels,
    varying_bands,
    warn_of_few_pixels,
)

if TYPE_CHECKING:
    from specloom_statistics import Moments

WEIGHT_TOLERANCE = 1e-30
"""A band whose weight, over the largest one, is not above this counts as absent."""

SHOWN_BANDS = 10
"""The number of bands that a warning lists."""


class Background(NamedTuple):
    """Statistics of the background pixels, in float64."""

    mean: Tensor
    covariance: Tensor
    bands_used: Tensor
    """Bands that vary, bool (C,)."""
    rank: Tensor
    """How many directions the pixels support."""
    eigenvalues: Tensor
    """Smallest and largest of the regularised correlation matrix; smallest without shrinkage."""
    correlation: Correlation
    """The regularised correlation matrix."""
    whitening: Tensor | None
    """Its whitening, where a kernel has computed it."""


def background_from(moments: Moments, eps: float, shrinkage: float) -> Background:
    """The background statistics that follow from the ``moments`` of its pixels."""
    kernels = native_kernels(moments.device)
    if kernels is not None and moments.has_shift:
        found = moments.native_background(kernels, eps, shrinkage, RANK_TOLERANCE)
        if found.whitening is not None:
            return _of_kernel(found)
    mean, scatter = moments.mean_and_scatter()
    covariance = scatter / max(moments.count - 1, 1)
    bands = varying_bands(mean, covariance)
    correlation = scale_to_correlation(covariance, bands, eps, shrinkage)
    rank, smallest, largest = spectrum(correlation.matrix, bands)
    smallest_without_shrinkage = smallest
    if shrinkage != 0:
        plain = scale_to_correlation(covariance, bands, eps, 0.0)
        _, smallest_without_shrinkage, _ = spectrum(plain.matrix, bands)
    extremes = [smallest, largest, smallest_without_shrinkage]
    eigenvalues = torch.tensor(extremes, dtype=torch.float64)
    return Background(mean, covariance, bands, torch.tensor(rank), eigenvalues, correlation, None)


def _of_kernel(found: Any) -> Background:
    """The background statistics from a ``Background`` of specloom-native."""
    whitening = found.whitening
    return Background(
        mean=found.mean,
        covariance=found.covariance,
        bands_used=found.varying,
        rank=torch.tensor(whitening.rank),
        eigenvalues=found.eigenvalues,
        correlation=Correlation(whitening.matrix, whitening.factor),
        whitening=whitening.whitening,
    )


def warn_about_unsupported(
    node: str, background: Background, count: int, shrinkage: float = 0.0
) -> None:
    """Warn about constant bands, fewer directions than bands, and few pixels without shrinkage."""
    varies = background.bands_used.tolist()
    rank = int(background.rank)
    varying = sum(varies)
    if varying < len(varies):
        constant = [band for band, band_varies in enumerate(varies) if not band_varies]
        shown = ", ".join(map(str, constant[:SHOWN_BANDS]))
        if len(constant) > SHOWN_BANDS:
            shown += ", ..."
        text = (
            f"{node}: {len(constant)} of {len(varies)} bands are constant over the {count} "
            f"background pixels and are excluded from the scores: {shown}"
        )
        warnings.warn(text, UserWarning, stacklevel=2)
    if rank < varying:
        text = (
            f"{node}: {count} background pixels support {rank} directions of {varying} bands; the "
            "others are excluded from the scores. Use more pixels, drop bands that are "
            "combinations of others, or set shrinkage"
        )
        warnings.warn(text, UserWarning, stacklevel=2)
    elif shrinkage == 0:
        warn_of_few_pixels(node, count, varying, "set shrinkage: 0.001, or fit more pixels")


def background_mask(valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """The pixels of (B, H, W, 1) that are valid and no anomaly, bool (B*H*W,); None for all."""
    background = background_pixels(valid, mask)
    if background is None:
        return None
    return background.reshape(-1)


def present_bands(weights: Tensor) -> Tensor:
    """Which bands have a weight that counts, bool (C,)."""
    size = weights.detach().abs()
    return size > WEIGHT_TOLERANCE * size.max()


def inverse_weights(weights: Tensor) -> Tensor:
    """1 / weight in float64, and 0 where a band is absent, (C,)."""
    present = present_bands(weights)
    divisors = torch.where(present, weights.double(), 1)
    return torch.where(present, 1 / divisors, 0)
