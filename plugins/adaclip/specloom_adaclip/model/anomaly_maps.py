"""From patch logits to maps: enlarging and smoothing."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

TRUNCATION = 4
"""The radius of the Gaussian filter in standard deviations."""


def enlarge(patches: Tensor, size: int) -> Tensor:
    """Return patch values (B, N, channels) as images (B, channels, size, size).

    Bilinear, with the corner patches on the corners of the image.
    """
    side = round(patches.shape[1] ** 0.5)
    grid = patches.mT.reshape(len(patches), -1, side, side)
    return interpolate(grid, (size, size), mode="bilinear", align_corners=True)


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Return maps (B, H, W) after a Gaussian filter, mirrored at the border (edge pixel twice).

    Equals ``scipy.ndimage.gaussian_filter`` with its default border and truncation at 4 sigma.
    """
    if _radius(sigma) == 0:
        return maps
    # By matrix products: cuDNN would round a float32 convolution to 10 bits (TF32) by default.
    _, height, width = maps.shape
    filter_rows = _filter_matrix(height, sigma).to(maps)
    filter_columns = _filter_matrix(width, sigma).to(maps)
    return filter_rows @ maps @ filter_columns.T


def _radius(sigma: float) -> int:
    return int(TRUNCATION * sigma + 0.5)


@lru_cache(16)
def _filter_matrix(size: int, sigma: float) -> Tensor:
    """Return the filter along a line as a matrix (size, size), in float64."""
    radius = _radius(sigma)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    weights = weights / weights.sum()
    # A line of 2 * size values, the second half mirrored, repeats without end.
    places = (torch.arange(size)[:, None] + offsets) % (2 * size)
    mirrored = torch.where(places < size, places, 2 * size - 1 - places)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, mirrored, weights.expand(size, -1))
