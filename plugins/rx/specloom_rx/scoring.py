"""Squared Mahalanobis distances, pixel by pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom_rx.blocks import Tiles, distances, divide_into_tiles, native_distances
from specloom_rx.gradient import Distances
from specloom_statistics import native_kernels


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
        center, absorbed, remainder = _absorb_map(data, mean, whitening, dtype)
        self.center = center
        self.whitening = absorbed.to(dtype)
        self.rest = remainder.to(dtype)
        self._is_triangular = triangular and not isinstance(data, LazyLinear)
        self._has_no_rest = isinstance(data, Tensor) and dtype == torch.float64
        self._tiles: Tiles | None = None
        self._kernel: Any = None
        kernels = native_kernels(mean.device)
        if kernels is not None:
            # Scores are computed in float64, whatever the type of gradients.
            if dtype != torch.float64:
                with torch.no_grad():
                    wide = torch.float64
                    center, absorbed, remainder = _absorb_map(data, mean, whitening, wide)
            self._kernel = kernels.Distances(
                center, absorbed, remainder, triangular=self._is_triangular
            )

    @property
    def tiles(self) -> Tiles:
        """The tiles of W, for products without kernels and for gradients."""
        if self._tiles is None:
            rest = None if self._has_no_rest else self.rest.detach()
            with torch.inference_mode(False):  # whose tensors can be used in any mode
                self._tiles = divide_into_tiles(
                    self.whitening.detach(), rest, triangular=self._is_triangular
                )
        return self._tiles

    def __call__(self, data: Tensor | LazyAffine | LazyLinear) -> Tensor:
        """The squared distances of (B, H, W, C) ``data``, (B, H, W, 1)."""
        raw = data if isinstance(data, Tensor) else data.data
        if not torch.is_grad_enabled():
            return self._score(raw, data.dtype)
        inputs = (raw, self.center, self.whitening, self.rest)
        if any(tensor.requires_grad for tensor in inputs):
            scores: Tensor = Distances.apply(*inputs, self._score, data.dtype)  # type: ignore[no-untyped-call]  # torch has no types here
            return scores
        return self._score(raw, data.dtype)

    def _score(self, raw: Tensor, dtype: torch.dtype) -> Tensor:
        """The distances of raw data as ``dtype``, without gradients."""
        if self._kernel is not None:
            scores = native_distances(raw, self._kernel)
            return scores if scores.dtype == dtype else scores.to(dtype)
        return distances(raw, self.center, self.tiles, dtype)


def _absorb_map(
    data: Tensor | LazyAffine | LazyLinear, mean: Tensor, whitening: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Center, whitening matrix and rest for raw data, the latter two in float64.

    (x - mean) W = (raw - center) (scale W) - rest, with any center; the one that makes the rest
    vanish, rounded to what the products are made in, keeps all digits.
    """
    if isinstance(data, LazyAffine):
        gap = mean - torch.as_tensor(data.offset).to(mean)
        scale = torch.as_tensor(data.scale).to(mean).expand(len(mean))
        center = (gap / scale).detach().to(dtype)
        center = torch.where(center.isfinite(), center, 0)
        return center, scale[:, None] * whitening, (gap - scale * center) @ whitening
    if isinstance(data, LazyLinear):
        gap = mean - torch.as_tensor(data.offset).to(mean)
        matrix = data.matrix.to(mean)
        center = (torch.linalg.pinv(matrix.detach()) @ gap.detach()).to(dtype)
        return center, matrix.T @ whitening, (gap - matrix @ center.double()) @ whitening
    center = mean.detach().to(dtype)
    return center, whitening, (mean - center.double()) @ whitening
