"""How the number of connected regions changes as a threshold goes down."""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Connectivity: TypeAlias = Literal[4, 8]
Places: TypeAlias = NDArray[np.int64]


class Pixels(NamedTuple):
    """Pixels by falling score."""

    scores: NDArray[np.float64]
    """(K,)."""
    places: Places
    """Image, row and column of each, (K, 3)."""
    floor: float
    """Pixels that do not score above it are not among them; minus infinity where all are."""


class Events(NamedTuple):
    """Changes of a number as a threshold goes down, by falling score."""

    scores: NDArray[np.float64]
    """(K,)."""
    signs: NDArray[np.int64]
    """1 or -1, (K,)."""
    places: Places
    """Image, row and column of each, (K, 3)."""


def region_events(pixels: Pixels, connectivity: Connectivity) -> Events:
    """One event more for each pixel, one less for each pair of regions that it joins.

    The edges that join regions are those of a minimum spanning forest of the graph of pixels that
    touch, where an edge comes with the later of its pixels (Kruskal, 1956, Proc. Am. Math. Soc.
    7(1):48-50).
    """
    count = len(pixels.scores)
    forest = csgraph.minimum_spanning_tree(_touching(pixels.places, connectivity))
    joining = np.sort(forest.data.astype(np.int64)) - 1
    order = np.concatenate([np.arange(count), joining])
    signs = np.repeat([1, -1], [count, len(joining)])
    falling = np.argsort(order, kind="stable")
    event = order[falling]
    return Events(pixels.scores[event], signs[falling], pixels.places[event])


def _touching(places: Places, connectivity: Connectivity) -> sparse.csr_array:
    """The graph of pixels that touch; an edge weighs the number of its later pixel, from 1."""
    count = len(places)
    if not count:
        return sparse.csr_array((0, 0))
    height, width = places[:, 1:].max(0) + 2
    keys = (places[:, 0] * height + places[:, 1]) * width + places[:, 2] + 1
    order = np.argsort(keys)
    ordered = keys[order]
    steps = [1, width]
    if connectivity == 8:
        steps += [width - 1, width + 1]
    first = []
    second = []
    for step in steps:
        at = np.searchsorted(ordered, keys + step)
        at = np.minimum(at, count - 1)
        found = ordered[at] == keys + step
        first.append(np.flatnonzero(found))
        second.append(order[at[found]])
    ends = np.concatenate(first), np.concatenate(second)
    weights = np.maximum(*ends) + 1.0
    return sparse.csr_array((weights, ends), shape=(count, count))
