"""From patch logits to maps: enlarging and smoothing."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def enlarged(logits: Tensor, size: int) -> Tensor:
    """Patch values (B, N, channels) as images (B, channels, size, size), corner on corner."""
    side = round(logits.shape[1] ** 0.5)
    grid = logits.mT.reshape(len(logits), -1, side, side)
    return interpolate(grid, (size, size), mode="bilinear", align_corners=True)


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Maps (B, H, W) after a Gaussian filter, mirrored at the border (the edge pixel twice).

    Equals ``scipy.ndimage.gaussian_filter`` with its default border and truncation at 4 sigma.
    """
    if int(4 * sigma + 0.5) == 0:
        return maps
    # By matrix products: cuDNN would round a float32 convolution to 10 bits (TF32) by default.
    rows, columns = (_filter(size, sigma).to(maps) for size in maps.shape[1:])
    return rows @ maps @ columns.T


@lru_cache(16)
def _filter(size: int, sigma: float) -> Tensor:
    """The filter along a line as a matrix (size, size), in float64."""
    radius = int(4 * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (steps.double() / sigma) ** 2)
    weights = weights / weights.sum()
    index = (torch.arange(size)[:, None] + steps) % (2 * size)
    mirrored = torch.where(index < size, index, 2 * size - 1 - index)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, mirrored, weights.expand(size, -1))
