"""Scores of normal images, from which thresholds for a false-alarm rate follow.

Counts are taken by group: an image or, where there are few images, a block of one. Pixels of one
group depend on each other, so that intervals come from resampling groups.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sample(NamedTuple):
    """Events that raise or lower the number of false alarms as a threshold goes down.

    A pixel or an image adds one false alarm at its score. A region adds one at its peak, and two
    regions that meet lose one where they do.
    """

    scores: NDArray[np.float64]
    """The score of each event, falling, (K,)."""
    signs: NDArray[np.int64]
    """How many false alarms each event adds, 1 or -1, (K,)."""
    groups: NDArray[np.int64]
    """The group of each event, (K,)."""
    units: NDArray[np.float64]
    """How many pixels or images each group has, (G,)."""
    floor: float
    """Events below are not known; minus infinity where all are."""
    resampled: str
    """What the groups are: ``images`` or ``blocks``."""
    more: float = 1.0
    """As how many groups one counts that is unlike these: the root of the blocks of an image."""

    @property
    def total(self) -> float:
        """How many pixels or images there are."""
        return float(self.units.sum())

    def counts(self, threshold: float) -> NDArray[np.float64]:
        """The false alarms of each group at a threshold, (G,)."""
        reached = self.scores >= threshold
        groups = self.groups[reached]
        counts = np.bincount(groups, self.signs[reached], len(self.units))
        return counts.astype(np.float64)

    def exceedances(self, threshold: float) -> int:
        """The false alarms at a threshold."""
        return int(self.signs[self.scores >= threshold].sum())

    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The distinct scores, falling, and the false alarms at a threshold of each."""
        if not len(self.scores):
            return self.scores, self.signs
        is_last = np.append(self.scores[1:] != self.scores[:-1], True)
        return self.scores[is_last], np.cumsum(self.signs)[is_last]
