"""What a Reed-Xiaoli detector learns about the background."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from specloom_rx.whitening import scaled, spectrum, varying_bands

if TYPE_CHECKING:
    from specloom_rx.moments import Moments

WEIGHT_TOLERANCE = 1e-30
"""A band whose weight, over the largest one, is not above this counts as absent."""


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


def background(moments: Moments, eps: float, shrinkage: float) -> Background:
    """The statistics of what ``moments`` gathered."""
    mean, covariance = moments.mean(), moments.covariance()
    bands = varying_bands(mean, covariance)
    rank, least, most = spectrum(scaled(covariance, bands, eps, shrinkage)[0], bands)
    bare = spectrum(scaled(covariance, bands, eps, 0.0)[0], bands)[1]
    extremes = torch.tensor([least, most, bare], dtype=torch.float64)
    return Background(mean, covariance, bands, torch.tensor(rank), extremes)


def warn_of_gaps(node: str, found: Background, count: int) -> None:
    """Warn of constant bands, and of fewer directions than bands."""
    bands, rank = found.bands_used, int(found.rank)
    varying = int(bands.sum())
    if varying < len(bands):
        constant = (~bands).nonzero().flatten().tolist()
        shown = ", ".join(map(str, constant[:10])) + (", ..." if len(constant) > 10 else "")
        text = (
            f"{node}: {len(constant)} of {len(bands)} bands are constant over the {count} "
            f"background pixels and are left out of the scores: {shown}"
        )
        warnings.warn(text, UserWarning, stacklevel=3)
    if rank < varying:
        text = (
            f"{node}: {count} background pixels support {rank} directions of {varying} bands; the "
            "others are left out of the scores. Give it more pixels, drop bands that are "
            "combinations of others, or set shrinkage"
        )
        warnings.warn(text, UserWarning, stacklevel=3)


def background_rows(valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """The pixels of (B, H, W, 1) that are valid and no anomaly, bool (B*H*W,); None for all."""
    keep = None if valid is None else valid.reshape(-1)
    if mask is None:
        return keep
    return ~mask.reshape(-1) if keep is None else keep & ~mask.reshape(-1)


def present(weights: Tensor) -> Tensor:
    """Which bands have a weight that counts, bool (C,)."""
    size = weights.detach().abs()
    return size > WEIGHT_TOLERANCE * size.max()


def inverse_weights(weights: Tensor) -> Tensor:
    """1 / weight in float64, and 0 where a band is absent, (C,)."""
    there = present(weights)
    return torch.where(there, 1 / torch.where(there, weights.double(), 1), 0)
