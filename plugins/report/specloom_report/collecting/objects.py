"""Objects: connected regions of decisions or ground truth that touch at a side or a corner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    found: list[FoundObject] = []
    if anomalous is None:
        found += _objects_among(predicted, np.zeros_like(predicted), scores, (DECIDED, DECIDED))
    else:
        found += _objects_among(predicted, anomalous, scores, (FALSE, CORRECT))
        for one in _objects_among(anomalous, predicted, scores, (MISSED, "")):
            if one.kind:
                found.append(one)
    found.sort(key=_order)
    return [_with_few_places(one) for one in found[:MAX_OBJECTS]], len(found)


def _order(one: FoundObject) -> tuple[int, float, int]:
    score = 0.0
    if one.score is not None and np.isfinite(one.score):
        score = one.score
    return KINDS.index(one.kind), -score, -one.pixels


def _objects_among(
    mask: Mask, other: Mask, scores: NDArray[Any] | None, kinds: tuple[str, str]
) -> Iterator[FoundObject]:
    """Yield each region of a mask; its kind depends on whether ``other`` touches it."""
    labels, count = label_regions(mask)
    if not count:
        return
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    order = np.argsort(numbers, kind="stable")
    places = np.stack([rows[order], columns[order]])
    ends = np.cumsum(np.bincount(numbers, minlength=count + 1)[1:])
    touched = np.zeros(count + 1, bool)
    touched[np.unique(labels[other])] = True
    for number, end in enumerate(ends.tolist(), start=1):
        start = 0
        if number > 1:
            start = int(ends[number - 2])
        own = places[:, start:end]
        peak = 0
        score = None
        if scores is not None:
            values = np.nan_to_num(scores[own[0], own[1]], nan=-np.inf)
            peak = int(values.argmax())
            score = float(values[peak])
        kind = kinds[int(touched[number])]
        yield FoundObject(kind, int(own[0, peak]), int(own[1, peak]), end - start, score, own)


def _with_few_places(one: FoundObject) -> FoundObject:
    """Return an object with evenly chosen pixels, where it has very many."""
    every = -(-one.places.shape[1] // MAX_PIXELS)
    return one._replace(places=one.places[:, ::every].copy())
