"""The scores around each object, from a few rows at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.int64]


class Surroundings:
    """Means and standard deviations of the scores around each object.

    The surroundings are the pixels within a chessboard distance of an object that belong to no
    object and whose score is finite. A pixel near two objects is in the surroundings of both.

    Args:
        count: The number of objects.
        distance: The largest distance, in pixels.
    """

    def __init__(self, count: int, distance: int) -> None:
        self._distance = distance
        self._pixels = np.zeros(count + 1, np.int64)
        # Sums are of differences from one score of each object's surroundings, so that a small
        # deviation from a large mean has all its digits.
        self._pivots = np.full(count + 1, np.nan)
        self._sums = np.zeros(count + 1)
        self._squares = np.zeros(count + 1)

    def add(self, labels: Labels, scores: NDArray[Any], first: int) -> None:
        """Take in the next rows.

        Args:
            labels: The objects' numbers in these rows and in the ``distance`` rows above and
                below, as far as the image has them; 0 is no object.
            scores: The scores of these rows, (h, W).
            first: The first of these rows within ``labels``.
        """
        usable = np.isfinite(scores) & (labels[first : first + len(scores)] == 0)
        objects, pixels = self._pairs(labels, usable, first)
        values = scores.ravel()[pixels].astype(np.float64)
        present, places = np.unique(objects, return_index=True)
        new = np.isnan(self._pivots[present])
        self._pivots[present[new]] = values[places[new]]
        differences = values - self._pivots[objects]
        np.add.at(self._pixels, objects, 1)
        np.add.at(self._sums, objects, differences)
        np.add.at(self._squares, objects, differences**2)

    def means(self) -> NDArray[np.float64]:
        """The mean around each object, (count,); NaN where nothing is around it."""
        with np.errstate(invalid="ignore"):
            means: NDArray[np.float64] = (self._pivots + self._sums / self._pixels)[1:]
        return means

    def deviations(self) -> NDArray[np.float64]:
        """The standard deviation around each object, (count,); NaN without two pixels."""
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = self._squares - self._sums**2 / self._pixels
            variances = np.maximum(spread, 0) / (self._pixels - 1)
        deviations: NDArray[np.float64] = np.where(
            self._pixels > 1, np.sqrt(np.maximum(variances, 0)), np.nan
        )[1:]
        return deviations

    def _pairs(
        self, labels: Labels, usable: NDArray[np.bool_], first: int
    ) -> tuple[Labels, Labels]:
        """Each object with each pixel around it, in the order of objects, then of pixels."""
        height, width = usable.shape
        # What is near an object is as near to its edge.
        inner = ndimage.binary_erosion(labels > 0, np.ones((3, 3)), border_value=0)
        rows, columns = np.nonzero((labels > 0) & ~inner)
        numbers = labels[rows, columns]
        rows = rows - first
        reach = range(-self._distance, self._distance + 1)
        keys = [np.zeros(0, np.int64)]
        for down in reach:
            for right in reach:
                near_rows = rows + down
                near_columns = columns + right
                inside = (near_rows >= 0) & (near_rows < height)
                inside &= (near_columns >= 0) & (near_columns < width)
                near = near_rows[inside] * width + near_columns[inside]
                keep = usable.ravel()[near]
                keys.append(numbers[inside][keep] * usable.size + near[keep])
        # A sort is ten times as fast as np.unique, which makes a hash table of so many numbers.
        pairs = np.sort(np.concatenate(keys))
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        return pairs // usable.size, pairs % usable.size
