"""Squared Mahalanobis distances, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom_rx.blocks import distances, divide_into_tiles
from specloom_rx.gradient import Distances


def mahalanobis(
    data: Tensor | LazyAffine | LazyLinear,
    mean: Tensor,
    whitening: Tensor,
    dtype: torch.dtype,
    *,
    triangular: bool = False,
) -> Tensor:
    """|(x - mean) W|^2 of every pixel, (B, H, W, 1), in the type of ``data``; differentiable.

    A pixel that is not finite gets NaN, carries no gradient and leaves the others as they are.

    Args:
        data: (B, H, W, C).
        mean: (C,), float64.
        whitening: W, (C, R), float64.
        dtype: The type of the products, float32 or float64.
        triangular: W is square and upper triangular.
    """
    return Distance(data, mean, whitening, dtype, triangular=triangular)(data)


class Distance:
    """The function x -> |(x - mean) W|^2, for data that all have one affine map.

    Args:
        data: Cubes, or a ``LazyAffine``: x = data * scale + offset is then never computed, as W
            takes over the scale, and the mean takes over both. So it is with the matrix and the
            offset of a ``LazyLinear``, whose products should be made in float64.
        mean: See ``mahalanobis``, as for the others.
        whitening: W.
        dtype: The type of the products.
        triangular: W is upper triangular.
    """

    def __init__(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        mean: Tensor,
        whitening: Tensor,
        dtype: torch.dtype,
        *,
        triangular: bool,
    ) -> None:
        # (x - mean) W = (raw - center) (scale W) - rest, with any center; the one that makes the
        # rest vanish, rounded to what the products are made in, keeps all digits.
        if isinstance(data, LazyAffine):
            gap = mean - torch.as_tensor(data.offset).to(mean)
            scale = torch.as_tensor(data.scale).to(mean).expand(len(mean))
            center = (gap / scale).detach().to(dtype)
            center = torch.where(center.isfinite(), center, 0)
            remainder = (gap - scale * center) @ whitening
            whitening = scale[:, None] * whitening
        elif isinstance(data, LazyLinear):
            gap = mean - torch.as_tensor(data.offset).to(mean)
            matrix = data.matrix.to(mean)
            center = (torch.linalg.pinv(matrix.detach()) @ gap.detach()).to(dtype)
            remainder = (gap - matrix @ center.double()) @ whitening
            whitening = matrix.T @ whitening
            triangular = False
        else:
            center = mean.detach().to(dtype)
            remainder = (mean - center.double()) @ whitening
        self.center = center
        self.whitening = whitening.to(dtype)
        self.rest = remainder.to(dtype)
        rest: Tensor | None = self.rest.detach()
        if isinstance(data, Tensor) and dtype == torch.float64:
            rest = None  # it is zero
        self.tiles = divide_into_tiles(self.whitening.detach(), rest, triangular=triangular)

    def __call__(self, data: Tensor | LazyAffine | LazyLinear) -> Tensor:
        """The squared distances of (B, H, W, C) ``data``, (B, H, W, 1)."""
        raw = data if isinstance(data, Tensor) else data.data
        inputs = (raw, self.center, self.whitening, self.rest)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
            scores: Tensor = Distances.apply(*inputs, self.tiles, data.dtype)  # type: ignore[no-untyped-call]  # torch has no types here
            return scores
        return distances(raw, self.center, self.tiles, data.dtype)
