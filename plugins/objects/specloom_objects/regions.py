"""Connected regions of an image that comes in strips of rows, as if it had come as a whole.

Each strip is labelled alone. Labels that touch across the border of two strips are pairs, and the
connected components of the graph of these pairs are the regions of the image (the two passes of
Rosenfeld and Pfaltz, 1966, J. ACM 13(4):471-494). Only one strip, one row and some numbers for
each label are in memory.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from specloom import ConfigError

Connectivity: TypeAlias = Literal[4, 8]
Mask: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = NDArray[np.int64]


def check_connectivity(connectivity: int) -> None:
    """Raise ConfigError unless pixels touch at 4 sides, or at 4 sides and 4 corners."""
    if connectivity not in (4, 8):
        raise ConfigError(f"connectivity is {connectivity}", fix="set 4 or 8")


def structure(connectivity: Connectivity) -> Mask:
    """Which pixels of 3 x 3 touch the middle one."""
    steps = 1
    if connectivity == 8:
        steps = 2
    touching: Mask = ndimage.generate_binary_structure(2, steps)
    return touching


class Regions:
    """The connected regions of a mask, which comes twice in the same strips of rows, from the top.

    ``scan`` takes each strip in; after ``join`` the regions are known, numbered from 1 in the
    order of their first pixels, and ``apply`` gives the numbers of each strip's pixels.

    Args:
        connectivity: 4 where pixels touch at a side; 8 where they touch at a corner as well.
    """

    def __init__(self, connectivity: Connectivity = 8) -> None:
        self._structure = structure(connectivity)
        self._shifts = (0,) if connectivity == 4 else (-1, 0, 1)
        self._found = [0]
        self._areas: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._pairs: list[Labels] = []
        self._last_row: Labels | None = None
        self._next_strip = 0
        self.numbers = np.zeros(1, np.int64)
        """The region of each label of a strip; 0 is the background."""
        self.count = 0
        """How many regions there are."""

    @property
    def areas(self) -> NDArray[np.int64]:
        """The pixels of each region, with 0 for the background in front."""
        return self.sum_by_region(np.concatenate(self._areas))

    def scan(self, mask: Mask) -> Labels:
        """Take in the next strip, bool (h, W), and return the labels of its pixels.

        A label is a part of a region within a strip; no other strip has it.
        """
        labels, found = self._label(mask, self._found[-1])
        self._areas.append(np.bincount(labels[mask] - self._found[-1], minlength=found + 1)[1:])
        self._found.append(self._found[-1] + found)
        if self._last_row is not None:
            self._pairs += self._touching(self._last_row, labels[0])
        self._last_row = labels[-1]
        return labels

    def join(self) -> None:
        """Number the regions, after the last strip."""
        labels = self._found[-1]
        if labels == 0:
            return
        first, second = np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1)
        graph = sparse.coo_array(
            (np.ones(first.size, np.int8), (first - 1, second - 1)), shape=(labels, labels)
        )
        self.count, parts = csgraph.connected_components(graph, directed=False)
        # Labels are in the order of their first pixels, and so is the first label of each region.
        _, first_label, part = np.unique(parts, return_index=True, return_inverse=True)
        order = np.empty(self.count, np.int64)
        order[np.argsort(first_label)] = np.arange(1, self.count + 1)
        self.numbers = np.concatenate([[0], order[part]])

    def apply(self, mask: Mask) -> Labels:
        """The region of each pixel of the next strip, int64 (h, W); 0 is the background."""
        labels, _ = self._label(mask, self._found[self._next_strip])
        self._next_strip += 1
        return self.numbers[labels]

    def sum_by_region(self, by_label: NDArray[Any]) -> NDArray[np.int64]:
        """Whole numbers of each label, added up by region; both with the background in front."""
        sums = np.zeros(self.count + 1, np.int64)
        np.add.at(sums, self.numbers, by_label)
        return sums

    def any_by_region(self, labels: NDArray[Any]) -> Mask:
        """Which regions have one of these labels, bool (regions + 1,); the background has none."""
        found = np.zeros(self.count + 1, bool)
        found[self.numbers[labels]] = True
        found[0] = False
        return found

    def _label(self, mask: Mask, before: int) -> tuple[Labels, int]:
        """Labels of a strip from ``before + 1`` on, in the order of their first pixels."""
        raw, found = ndimage.label(mask, self._structure)
        places = np.flatnonzero(raw)
        values = raw.ravel()[places]
        first = np.zeros(found + 1, np.int64)
        first[values[::-1]] = places[::-1]  # of equal indices the last is stored
        numbers = np.zeros(found + 1, np.int64)
        numbers[1 + np.argsort(first[1:])] = np.arange(before + 1, before + found + 1)
        return numbers[raw], int(found)

    def _touching(self, above: Labels, below: Labels) -> list[Labels]:
        """Pairs of labels that touch, each (2, N), of two rows."""
        pairs = []
        width = above.size
        for shift in self._shifts:
            first = above[max(0, -shift) : width - max(0, shift)]
            second = below[max(0, shift) : width - max(0, -shift)]
            both = (first > 0) & (second > 0)
            pairs.append(np.unique(np.stack([first[both], second[both]]), axis=1))
        return pairs


def label(mask: Mask, connectivity: Connectivity = 8) -> tuple[Labels, int]:
    """The regions of a mask (H, W), numbered in the order of their first pixels; their count."""
    regions = Regions(connectivity)
    regions.scan(mask)
    regions.join()
    return regions.apply(mask), regions.count
