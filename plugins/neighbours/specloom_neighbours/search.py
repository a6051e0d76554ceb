"""The nearest members of a coreset, found by matrix products.

On a CPU the products are in float32. Of the members that are nearest by them a few more than are
needed are compared in float64. Where the rounding of float32 might hide a nearer member, which is
rare, the block is searched again in float64: the members found are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# The members are searched in groups; those groups are looked at whose nearest members are nearest.
GROUP = 10
# Fewer members, over the number of neighbours, are not divided into groups.
LEAST_GROUPS = 4
# How many more members than neighbours are compared in float64.
SPARE = 3
# Points that are compared with all members at a time: in float32 the products stay in the cache of
# a core.
CPU_POINTS = 240
# The bits of a float64 that are zero where it was a float32.
FREE_BITS = (1 << 29) - 1
# What stands in place of |m|^2 where there is no member; it is finite in float32.
ABSENT = 3e38


class Search(NamedTuple):
    """The members, filled up to whole groups: the group of a member is its number modulo groups."""

    neighbours: int
    """k, at most n."""
    size: int
    """How many members there are, n."""
    members: Tensor
    """(M, q), float64."""
    group_size: int
    wide: Tensor
    """-2 m of all members and below it |m|^2, (q + 1, M): its product with (x, 1) is
    |x - m|^2 - |x|^2."""
    quick: Tensor | None
    """The same in float32; only on a CPU."""


class Nearest(NamedTuple):
    """The members that are nearest to each of some points."""

    places: Tensor
    """(N, k), in any order."""
    limits: Tensor
    """|x - m|^2 - |x|^2 of the farthest of them, (N,)."""


def prepare_search(members: Tensor, neighbours: int) -> Search:
    """The search for the ``neighbours`` nearest of ``members`` (n, q), float64."""
    count = len(members)
    group_size = GROUP
    if count < LEAST_GROUPS * GROUP * (neighbours + SPARE):
        group_size = 1
    rest = -count % group_size
    filled = torch.cat([members, members.new_zeros(rest, members.shape[1])]).detach()
    squares = filled.square().sum(1)
    squares[count:] = ABSENT
    wide = torch.cat([-2 * filled.T, squares[None]])
    quick = None
    if members.device.type == "cpu":
        quick = wide.float()
    return Search(neighbours, count, filled, group_size, wide, quick)


def nearest_distances(points: Tensor, search: Search) -> Tensor:
    """The distances of ``points`` (N, q) to the nearest members, rising, (N, k); differentiable."""
    if search.quick is None:
        with torch.no_grad():
            places = _nearest(points, search.wide, search.group_size, search.neighbours).places
        return _distances(points, search.members, places).sort(1).values
    return _nearest_on_cpu(points, search, search.quick)


def _nearest_on_cpu(points: Tensor, search: Search, quick: Tensor) -> Tensor:
    count = min(search.neighbours + SPARE, search.size)
    with torch.no_grad():
        found = _nearest_in_parts(points.float(), quick, search.group_size, count)
    distances = _sorted_distances(points, search.members, found.places)
    if count < search.size and not _is_certain(points, search, distances, found.limits):
        with torch.no_grad():
            found = _nearest_in_parts(points, search.wide, search.group_size, search.neighbours)
        distances = _sorted_distances(points, search.members, found.places)
    return distances[:, : search.neighbours]


def _sorted_distances(points: Tensor, members: Tensor, places: Tensor) -> Tensor:
    """Distances in parts that stay in the cache, rising, (N, k)."""
    parts = []
    for some, its_places in zip(
        torch.split(points, CPU_POINTS), torch.split(places, CPU_POINTS), strict=True
    ):
        parts.append(_distances(some, members, its_places))
    distances = torch.cat(parts)
    if distances.requires_grad:
        rising: Tensor = distances.sort(1).values
        return rising
    # NumPy sorts short rows many times faster.
    return torch.from_numpy(np.sort(np.from_dlpack(distances), axis=1))


def _distances(points: Tensor, members: Tensor, places: Tensor) -> Tensor:
    """The distances of ``points`` (N, q) to the members at ``places`` (N, k), (N, k)."""
    # By differences: squared distances from products lose their digits near 0.
    gaps = points[:, None] - members[places]
    distances: Tensor = torch.linalg.vector_norm(gaps, dim=2)
    return distances


def _is_certain(points: Tensor, search: Search, distances: Tensor, limits: Tensor) -> bool:
    """Whether no member that was not found can be nearer than the k nearest that were.

    A product of q terms in float32 is off by at most about (q + 8) times its precision times
    (|x| + |m|)^2, and a nearer member m has |m| <= |x| + d, with d the distance of the k-th.
    """
    with torch.no_grad():
        last = distances[:, search.neighbours - 1]
        squares = points.square().sum(1)
        precision = (points.shape[1] + 8) * torch.finfo(torch.float32).eps
        error = precision * (2 * squares.sqrt() + last).square()
        certain = limits - error >= last.square() - squares
    return bool(np.from_dlpack(certain).all())


def _nearest_in_parts(points: Tensor, products: Tensor, group_size: int, count: int) -> Nearest:
    parts = [
        _nearest(some, products, group_size, count) for some in torch.split(points, CPU_POINTS)
    ]
    places = torch.cat([part.places for part in parts])
    return Nearest(places, torch.cat([part.limits for part in parts]))


def _nearest(points: Tensor, products: Tensor, group_size: int, count: int) -> Nearest:
    """The ``count`` nearest members of each of ``points``, as far as the products are exact."""
    ones = points.new_ones(len(points), 1)
    # Without the square of the point, which does not change the order.
    squares = torch.cat([points, ones], 1) @ products
    if group_size == 1:
        return _smallest(squares, None, count)
    # No member of another group is nearer than the nearest ones of these groups.
    groups = squares.shape[1] // group_size
    nearest_of_group = squares.view(len(points), group_size, groups).amin(1)
    near_groups = _smallest(nearest_of_group, None, count).places
    within = torch.arange(0, squares.shape[1], groups, device=points.device)
    places = (near_groups[:, None] + within[:, None]).flatten(1)
    return _smallest(squares.gather(1, places), places, count)


def _smallest(values: Tensor, places: Tensor | None, count: int) -> Nearest:
    """The ``count`` smallest of each row of ``values``.

    Args:
        values: (N, M).
        places: What the values are those of, (N, M); None for their columns.
        count: At most M.
    """
    if values.dtype == torch.float32 and values.device.type == "cpu":
        return _smallest_by_codes(values, places, count)
    found = values.topk(count, largest=False)
    chosen = found.indices
    if places is not None:
        chosen = places.gather(1, chosen)
    return Nearest(chosen, found.values[:, -1])


def _smallest_by_codes(values: Tensor, places: Tensor | None, count: int) -> Nearest:
    """The same for float32; NumPy partitions values many times faster than their places.

    So each place is written into the bits of its value that are free in float64.
    """
    if places is None:
        places = torch.arange(values.shape[1])
    codes = values.double().view(torch.int64) | places
    numbers = np.from_dlpack(codes.view(torch.float64))
    smallest = np.partition(numbers, count - 1, axis=1)[:, :count]
    chosen = smallest.view(np.int64) & FREE_BITS
    return Nearest(torch.from_numpy(chosen), torch.from_numpy(smallest[:, -1]))
