"""Mean distances to the nearest of some points, in blocks whose size never changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom import LazyAffine
from specloom.torch import usable_pixels
from specloom_neighbours.search import Search, nearest_distances, prepare_search

# A pixel's score must not depend on its place in a block, nor on its neighbours: every product has
# the same shape, and 960 is a multiple of all widths of register tiles in use.
CPU_BLOCK = 960
GPU_BLOCK = 15360


class Coreset(NamedTuple):
    """Points in whitened principal components, and the map into them, in float64."""

    center: Tensor
    """(C,)."""
    whitening: Tensor
    """(C, q)."""
    members: Tensor
    """(n, q)."""


class Distances(NamedTuple):
    """Distances of each pixel in float64, (B, H, W, 1); NaN where the pixel is not finite."""

    mean: Tensor
    """Mean distance to the nearest members."""
    nearest: Tensor
    """Distance to the nearest member."""


def whiten(rows: Tensor, coreset: Coreset) -> Tensor:
    """The whitened principal components of ``rows`` (N, C), (N, q)."""
    return (rows - coreset.center) @ coreset.whitening


def neighbour_distances(data: Tensor | LazyAffine, coreset: Coreset, neighbours: int) -> Distances:
    """Distances of the pixels of (B, H, W, C) ``data`` to their nearest members; differentiable.

    Args:
        data: Cubes of any real type; the map of a ``LazyAffine`` is applied in float64.
        coreset: The members.
        neighbours: k; all members are used where there are fewer.
    """
    raw = data.data if isinstance(data, LazyAffine) else data
    pixels = raw.reshape(-1, raw.shape[-1])
    search = prepare_search(coreset.members, min(neighbours, len(coreset.members)))
    size = CPU_BLOCK if raw.device.type == "cpu" else GPU_BLOCK
    means = []
    nearest = []
    for start in range(0, len(pixels), size):
        rows = pixels[start : start + size].double()
        if isinstance(data, LazyAffine):
            rows = rows * data.scale + data.offset
        found = _block_distances(rows, size, coreset, search)
        means.append(found.mean(1))
        nearest.append(found[:, 0])
    shape = (*raw.shape[:-1], 1)
    return Distances(torch.cat(means).view(shape), torch.cat(nearest).view(shape))


def _block_distances(rows: Tensor, size: int, coreset: Coreset, search: Search) -> Tensor:
    """The distances of some rows to their nearest members, rising, (N, k)."""
    usable = usable_pixels(rows.detach())[:, None]
    finite = rows
    if not _all_true(usable):
        finite = torch.where(usable, rows, coreset.center)
    if len(rows) < size:
        finite = torch.cat([finite, coreset.center.expand(size - len(rows), -1)])
    found = nearest_distances(whiten(finite, coreset), search)[: len(rows)]
    return torch.where(usable, found, torch.nan)


def _all_true(mask: Tensor) -> bool:
    """Whether a mask is true throughout; False on a GPU, where the host would wait for it."""
    if mask.device.type != "cpu":
        return False
    return bool(np.from_dlpack(mask).all())
