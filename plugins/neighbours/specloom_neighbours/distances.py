"""Mean distances to the nearest of some points, in blocks whose size never changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom import LazyAffine
from specloom.torch import usable_pixels

# A pixel's score must not depend on its place in a block, nor on its neighbours: every product has
# the same shape, and 960 is a multiple of all widths of register tiles in use.
CPU_BLOCK = 960
GPU_BLOCK = 15360
# The neighbours of a pixel are searched in the groups whose nearest members are nearest.
GROUP = 10
# Fewer members, over the number of neighbours, are not divided into groups.
LEAST_GROUPS = 4


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


class Groups(NamedTuple):
    """The members, filled up to whole groups, for the search."""

    points: Tensor
    """(groups * size, q)."""
    squares: Tensor
    """Squared norms, infinite where there is no member, (groups * size, 1)."""
    size: int


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
    count = min(neighbours, len(coreset.members))
    groups = divide_into_groups(coreset.members, count)
    size = CPU_BLOCK if raw.device.type == "cpu" else GPU_BLOCK
    means = []
    nearest = []
    for start in range(0, len(pixels), size):
        rows = pixels[start : start + size].double()
        if isinstance(data, LazyAffine):
            rows = rows * data.scale + data.offset
        found = _block_distances(rows, size, coreset, groups, count)
        means.append(found.mean(1))
        nearest.append(found[:, 0])
    shape = (*raw.shape[:-1], 1)
    return Distances(torch.cat(means).view(shape), torch.cat(nearest).view(shape))


def divide_into_groups(members: Tensor, neighbours: int) -> Groups:
    """Fill ``members`` (n, q) up to groups of equal size; of size 1 where they are few."""
    size = GROUP
    if len(members) < LEAST_GROUPS * GROUP * neighbours:
        size = 1
    rest = -len(members) % size
    points = torch.cat([members, members.new_zeros(rest, members.shape[1])])
    squares = torch.cat([members.square().sum(1), members.new_full((rest,), torch.inf)])
    return Groups(points, squares[:, None], size)


def _block_distances(
    rows: Tensor, size: int, coreset: Coreset, groups: Groups, neighbours: int
) -> Tensor:
    """The distances of some rows to their nearest members, rising, (N, neighbours)."""
    usable = usable_pixels(rows.detach())[:, None]
    finite = torch.where(usable, rows, 0)
    filled = torch.cat([finite, rows.new_zeros(size - len(rows), rows.shape[1])])
    points = whiten(filled, coreset)
    with torch.no_grad():
        places = _nearest(points, groups, neighbours)
    # The search has squared distances that lose their digits near 0; these do not.
    gaps = points[:, None] - groups.points[places]
    distances = torch.linalg.vector_norm(gaps, dim=2).sort(1).values
    return torch.where(usable, distances[: len(rows)], torch.nan)


def _nearest(points: Tensor, groups: Groups, neighbours: int) -> Tensor:
    """The places of the nearest members of each of ``points`` (N, q), (N, neighbours)."""
    # Squared distances without the square of the point, which does not change their order.
    squares = torch.addmm(groups.squares, groups.points, points.T, alpha=-2)
    if groups.size == 1:
        return _smallest(squares.T.contiguous(), neighbours)
    # No member of another group is nearer than the nearest ones of these groups.
    by_group = squares.view(-1, groups.size, len(points))
    nearest_of_group = by_group.amin(1).T.contiguous()
    near_groups = _smallest(nearest_of_group, neighbours)
    within = torch.arange(groups.size, device=points.device)
    places = (near_groups[:, :, None] * groups.size + within).flatten(1)
    candidates = squares.gather(0, places.T).T.contiguous()
    return places.gather(1, _smallest(candidates, neighbours))


def _smallest(values: Tensor, count: int) -> Tensor:
    """The places of the ``count`` smallest of each row, in any order, (N, count)."""
    if values.device.type == "cpu":
        # It takes half of the time of torch's topk.
        order = np.argpartition(np.from_dlpack(values), count - 1, axis=1)
        return torch.from_numpy(order[:, :count])
    return values.topk(count, largest=False).indices
