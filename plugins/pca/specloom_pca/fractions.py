"""Directions of the largest ratio of variance to noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class NoiseFractions(NamedTuple):
    """The leading directions by falling ratio of variance to noise, in float64."""

    directions: Tensor
    """v with v^T N v = 1, (K, C); zeros where the noise does not support a direction."""
    ratios: Tensor
    """Variance over noise variance along each direction, (K,); 0 for those that are zero."""
    rank: int
    """How many directions the noise supports, of all C."""


def noise_fractions(
    covariance: Tensor, noise_covariance: Tensor, count: int, eps: float
) -> NoiseFractions:
    """The ``count`` leading solutions of S v = r N v, v^T N v = 1, by falling r.

    The sign of a direction is fixed: its entry of the largest magnitude is positive. Bands
    without noise, and directions along which the noise (of bands scaled to unit noise) has a
    standard deviation not above ``eps`` times the largest, are not used.

    Source: A. A. Green, M. Berman, P. Switzer, M. D. Craig, IEEE TGRS 26(1), 1988, eq. 3; the
    two steps are those of J. B. Lee, A. S. Woodyatt, M. Berman, IEEE TGRS 28(3), 1990.

    Args:
        covariance: S, (C, C), float64.
        noise_covariance: N, (C, C), float64.
        count: K, at most C.
        eps: Relative to the largest standard deviation of the noise.
    """
    deviations = noise_covariance.diagonal().clamp(min=0).sqrt()
    scale = torch.where(deviations > 0, 1 / deviations.where(deviations > 0, 1), 0)
    values, vectors = torch.linalg.eigh(noise_covariance * torch.outer(scale, scale))
    rounding = len(values) * torch.finfo(values.dtype).eps
    supported = values > max(eps**2, rounding) * values[-1].clamp(min=0)
    whitening = scale[:, None] * vectors[:, supported] / values[supported].sqrt()
    ratios, rotation = torch.linalg.eigh(whitening.T @ covariance @ whitening)
    rank = int(supported.sum())
    rows = (whitening @ rotation).T.flip(0)[:count]
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    directions = covariance.new_zeros(count, len(covariance))
    directions[: len(rows)] = rows * largest.sign()
    found = covariance.new_zeros(count)
    found[: len(rows)] = ratios.flip(0)[:count]
    return NoiseFractions(directions, found, rank)
