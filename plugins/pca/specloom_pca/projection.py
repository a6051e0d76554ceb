"""Projections of float32 data in float32, where that keeps enough digits of every component."""

from __future__ import annotations

import torch
from torch import Tensor

from specloom import LazyAffine
from specloom_pca.pixel_maps import map_centred

# The variance of the first component over that of the last. Measured with offsets of up to 1e6
# standard deviations: float32 projections are then within 1e-5 standard deviations of a component.
FLOAT32_LIMIT = 100
# Variances whose inverse fits into float32 too.
SMALLEST = 1e-30
LARGEST = 1e30
# Trained rows are no unit vectors at right angles any more, and nothing is known of their digits.
ORTHONORMAL = 1e-9


def float32_suffices(directions: Tensor, variances: Tensor) -> bool:
    """Whether float32 keeps the digits of every component.

    Args:
        directions: The components, float64 (K, C); zeros where one is not supported.
        variances: The variance along each, (K,).
    """
    supported = variances > 0
    used = variances[supported]
    if not len(used):
        return False
    products = directions @ directions.T
    is_orthonormal = bool((products - torch.diag(supported.to(products))).abs().max() < ORTHONORMAL)
    smallest = float(used.min())
    largest = float(used.max())
    in_range = smallest > SMALLEST and largest < LARGEST
    return is_orthonormal and in_range and largest <= FLOAT32_LIMIT * smallest


class Projection:
    """The function x -> (x - mean) A^T in float32, for data that all have one affine map.

    The mean is subtracted before the products, so that nothing is lost where it is much larger
    than the deviations. What float32 cannot hold of it is subtracted behind them.

    Args:
        data: Cubes, or a ``LazyAffine``, whose map the projection takes over.
        mean: (C,), float64.
        matrix: A, float64 (K, C).
    """

    def __init__(self, data: Tensor | LazyAffine, mean: Tensor, matrix: Tensor) -> None:
        center = mean
        rest = torch.zeros_like(mean)
        if isinstance(data, LazyAffine):
            scale = torch.as_tensor(data.scale).detach().to(mean).expand(len(mean))
            gap = mean - torch.as_tensor(data.offset).detach().to(mean)
            center = (gap / scale).float().double()
            center = torch.where(center.isfinite(), center, 0)
            rest = scale * center - gap
            matrix_of_raw = matrix * scale
        else:
            center = mean.float().double()
            rest = center - mean
            matrix_of_raw = matrix
        self._center = center.float()
        self._layer = (matrix_of_raw.float(), (matrix @ rest).float())

    def __call__(self, data: Tensor | LazyAffine) -> Tensor:
        """Project (B, H, W, C) ``data``: (B, K, H * W), float32."""
        raw = data if isinstance(data, Tensor) else data.data
        return map_centred(raw, self._center, self._layer)
