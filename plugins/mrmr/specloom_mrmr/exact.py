"""The scores computed plainly from all pixels: the reference of the streaming ones.

Every band is sorted, in memory that grows with the number of pixels: for tests and benchmarks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def exact_fisher(rows: Array, labels: Array) -> Array:
    """(m1 - m0)^2 / (v1 + v0) of each band in float64; 0 for constant bands.

    Args:
        rows: The pixels, (N, C).
        labels: Their classes, bool (N,).
    """
    normal = rows[~labels].astype(np.float64)
    anomalous = rows[labels].astype(np.float64)
    within = normal.var(0) + anomalous.var(0)
    gap = (anomalous.mean(0) - normal.mean(0)) ** 2
    score: Array = np.divide(gap, within, out=np.zeros_like(gap), where=within > 0)
    return score


def exact_auc(rows: Array, labels: Array) -> Array:
    """max(a, 1 - a) of each band's area under the ROC curve, ties counted half.

    Args:
        rows: The pixels, (N, C).
        labels: Their classes, bool (N,).
    """
    normal = np.sort(rows[~labels].T)
    areas = []
    for band, values in zip(normal, rows[labels].T, strict=True):
        below = np.searchsorted(band, values, "left").sum(dtype=np.float64)
        upto = np.searchsorted(band, values, "right").sum(dtype=np.float64)
        areas.append((below + upto) / 2 / (len(band) * len(values)))
    score: Array = np.maximum(areas, 1 - np.array(areas))
    return score


def exact_information(rows: Array, labels: Array, edges: Array) -> Array:
    """The mutual information of each band's bin and the class, in bits.

    Args:
        rows: The pixels, (N, C).
        labels: Their classes, bool (N,).
        edges: What the bins lie between, sorted, (C, bins - 1).
    """
    bits = []
    for band, limits in zip(rows.T, edges, strict=True):
        joint = np.zeros((2, len(limits) + 1))
        np.add.at(joint, (labels.astype(int), np.digitize(band, limits)), 1 / len(band))
        alone = joint.sum(0) * joint.sum(1, keepdims=True)
        full = joint > 0
        bits.append((joint[full] * np.log2(joint[full] / alone[full])).sum())
    return np.array(bits)
