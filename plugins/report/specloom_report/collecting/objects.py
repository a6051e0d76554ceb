"""Objects: connected regions of decisions or ground truth that touch at a side or a corner."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

MAX_OBJECTS = 50
"""Objects of one image whose places and spectra are stored."""

MAX_PIXELS = 256
"""Pixels of one object from which its mean spectrum is made."""

TOUCHING = np.ones((3, 3), bool)

MISSED = "missed"
FALSE = "false"
CORRECT = "correct"
DECIDED = "decided"
#: The kinds of objects, those that a reader wants to see first in front.
KINDS = (MISSED, FALSE, CORRECT, DECIDED)


class ObjectCounts(NamedTuple):
    """The objects of one image: decided ones, those of them that are false, true ones, found ones.

    A decided object is false where no pixel of it is anomalous; a true object is found where a
    pixel of it is decided.
    """

    decided: int
    false: int
    anomalous: int
    found: int

    @property
    def wrong(self) -> int:
        """How many objects are false or missed."""
        return self.false + self.anomalous - self.found


class FoundObject(NamedTuple):
    """One object.

    Args:
        kind: ``missed``, ``false``, ``correct``, or ``decided`` where there is no mask.
        row: The row of its highest score, or of its first pixel.
        column: The column of that pixel.
        pixels: How many pixels it has.
        score: Its highest score; None without scores.
        places: The rows and columns of at most ``MAX_PIXELS`` of its pixels, (2, n).
    """

    kind: str
    row: int
    column: int
    pixels: int
    score: float | None
    places: NDArray[np.intp]


def label_regions(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Return the number of the region of each pixel (H, W), 0 outside, and how many there are."""
    from scipy.ndimage import label

    labels, count = label(mask, TOUCHING)
    return labels, int(count)


def count_objects(predicted: Mask, anomalous: Mask) -> ObjectCounts:
    """Count the objects of one image, from masks (H, W)."""
    both = predicted & anomalous
    decided_labels, decided = label_regions(predicted)
    true_labels, true_count = label_regions(anomalous)
    return ObjectCounts(
        decided=decided,
        false=decided - len(np.unique(decided_labels[both])),
        anomalous=true_count,
        found=len(np.unique(true_labels[both])),
    )


def find_objects(
    predicted: Mask, anomalous: Mask | None, scores: NDArray[Any] | None
) -> tuple[list[FoundObject], int]:
    """Return the objects of one image that matter most, and how many there are.

    Missed objects come first, then false ones, each kind with its highest score first.

    Args:
        predicted: True where an anomaly was decided, (H, W).
        anomalous: True where an anomaly is; None without a mask.
        scores: Scores (H, W), or None.
    """
    if anomalous is None:
        none = np.zeros_like(predicted)
        tables = [_Regions(predicted, none, scores, (DECIDED, DECIDED))]
    else:
        tables = [
            _Regions(predicted, anomalous, scores, (FALSE, CORRECT)),
            _Regions(anomalous, predicted, scores, (MISSED, "")),
        ]
    found: list[FoundObject] = []
    for table in tables:
        found += table.foremost()
    found.sort(key=_order)
    return _of_every_kind(found), sum(table.count for table in tables)


def _of_every_kind(found: Sequence[FoundObject]) -> list[FoundObject]:
    """Return at most ``MAX_OBJECTS`` in their order: of each kind its share, and then the first."""
    kinds = Counter(one.kind for one in found)
    share = MAX_OBJECTS // max(len(kinds), 1)
    spare = MAX_OBJECTS - sum(min(count, share) for count in kinds.values())
    taken: Counter[str] = Counter()
    chosen = []
    for one in found:
        taken[one.kind] += 1
        is_beyond = taken[one.kind] > share
        if is_beyond and spare == 0:
            continue
        spare -= int(is_beyond)
        chosen.append(one)
    return chosen


def _order(one: FoundObject) -> tuple[int, float, int]:
    score = 0.0
    if one.score is not None:
        score = one.score
    return KINDS.index(one.kind), -score, -one.pixels


class _Regions:
    """The regions of a mask, as columns with an entry for each.

    Args:
        mask: The mask, (H, W).
        other: What makes a region of the second kind where it touches it.
        scores: Scores (H, W), or None.
        kinds: The kinds; an empty one is omitted.
    """

    def __init__(
        self, mask: Mask, other: Mask, scores: NDArray[Any] | None, kinds: tuple[str, str]
    ) -> None:
        labels, count = label_regions(mask)
        self._scores = scores
        self._kinds = kinds
        rows, columns = np.nonzero(labels)
        numbers = labels[rows, columns]
        values = np.zeros(len(numbers))
        if scores is not None:
            values = np.nan_to_num(scores[rows, columns].astype(float), nan=-np.inf)
        # By region, and within a region the highest score first.
        order = np.lexsort((-values, numbers))
        self._places = np.stack([rows[order], columns[order]])
        self._highest = values[order]
        self._sizes = np.bincount(numbers, minlength=count + 1)[1:]
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])
        self._touched = np.zeros(count + 1, bool)
        self._touched[np.unique(labels[other])] = True
        self._touched = self._touched[1:]
        self._chosen = np.ones(count, bool)
        if not kinds[1]:
            self._chosen = ~self._touched

    @property
    def count(self) -> int:
        """How many there are of kinds that are not omitted."""
        return int(np.count_nonzero(self._chosen))

    def foremost(self) -> list[FoundObject]:
        """Return those of each kind with the highest scores."""
        firsts = self._highest[self._starts[:-1]]
        order = np.lexsort((-self._sizes, -firsts))
        order = order[self._chosen[order]]
        objects = []
        for is_touched in (False, True):
            of_kind = order[self._touched[order] == is_touched][:MAX_OBJECTS]
            objects += [self._object(number) for number in of_kind.tolist()]
        return objects

    def _object(self, number: int) -> FoundObject:
        start = int(self._starts[number])
        size = int(self._sizes[number])
        every = -(-size // MAX_PIXELS)
        score = None
        if self._scores is not None:
            score = float(self._highest[start])
        return FoundObject(
            kind=self._kinds[int(self._touched[number])],
            row=int(self._places[0, start]),
            column=int(self._places[1, start]),
            pixels=size,
            score=score,
            places=self._places[:, start : start + size : every].copy(),
        )
