"""Which objects are found, and which decided objects are right."""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from specloom_objects.regions import Connectivity, label

Criterion: TypeAlias = Literal["coverage", "iou"]
Mask: TypeAlias = NDArray[np.bool_]

ROUNDING = 1e-9
"""Of a share times a number of pixels: 0.07 * 100 is 7.000000000000001."""


class ObjectCounts(NamedTuple):
    """Numbers of objects of an image or of a whole stage."""

    objects: int
    found: int
    decided: int
    correct: int
    unjudged: int


def count_objects(
    decisions: Mask,
    targets: Mask,
    counts: Mask,
    overlap: float,
    criterion: Criterion = "coverage",
    connectivity: Connectivity = 8,
) -> ObjectCounts:
    """Count the objects of one image, and those that overlap.

    Args:
        decisions: True where an anomaly was decided, (H, W).
        targets: True where an anomaly is, (H, W).
        counts: Pixels that count, (H, W). An object none of whose pixels counts is unjudged.
        overlap: The least overlap, over 0 and at most 1.
        criterion: ``coverage`` or ``iou``, as in ``ObjectMetrics``.
        connectivity: 4 or 8.
    """
    true_labels, true_count = label(targets, connectivity)
    decided_labels, decided_count = label(decisions & counts, connectivity)
    true_areas = np.bincount(true_labels[counts], minlength=true_count + 1)
    decided_areas = np.bincount(decided_labels[counts], minlength=decided_count + 1)
    both = counts & (true_labels > 0) & (decided_labels > 0)
    pairs = np.stack([true_labels[both], decided_labels[both]])
    if criterion == "coverage":
        found = _covered(pairs[0], true_areas, overlap)
        correct = _covered(pairs[1], decided_areas, overlap)
    else:
        found = _matched(pairs, true_areas, decided_areas, overlap)
        correct = found
    judged = int((true_areas[1:] > 0).sum())
    return ObjectCounts(judged, found, decided_count, correct, true_count - judged)


def _covered(labels: NDArray[np.int64], areas: NDArray[np.int64], overlap: float) -> int:
    """How many objects have at least a share of their pixels among ``labels``."""
    covered = np.bincount(labels, minlength=areas.size)
    enough = (covered > 0) & (covered >= overlap * areas - ROUNDING)
    return int(enough[1:].sum())


def _matched(
    pairs: NDArray[np.int64],
    true_areas: NDArray[np.int64],
    decided_areas: NDArray[np.int64],
    overlap: float,
) -> int:
    """The largest number of pairs of objects, each in one pair, of a sufficient IoU."""
    distinct, shared = np.unique(pairs, axis=1, return_counts=True)
    true_label, decided_label = distinct
    union = true_areas[true_label] + decided_areas[decided_label] - shared
    enough = shared >= overlap * union - ROUNDING
    graph = sparse.csr_array(
        (np.ones(int(enough.sum()), np.int8), (true_label[enough], decided_label[enough])),
        shape=(true_areas.size, decided_areas.size),
    )
    matched = csgraph.maximum_bipartite_matching(graph, perm_type="column")
    return int((matched >= 0).sum())
