"""Areas and rates over all thresholds of a score, exact with ties and in any order."""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom import DataError

Floats: TypeAlias = NDArray[np.float64]

ROUNDING = 1e-9
"""Of a rate times a number of pixels: 0.07 * 100 is 7.000000000000001."""


def pro_curve(scores: NDArray[Any], areas: NDArray[Any]) -> tuple[Floats, Floats]:
    """The false-positive rate and the per-region overlap over all thresholds, from 0 to 1.

    The per-region overlap (PRO) is the mean over anomalous regions of the share of a region's
    pixels that reach the threshold (Bergmann et al., 2021, IJCV 129:1038-1059, section 5.2).
    Between two points the curve is a straight line; points are where it bends.

    Args:
        scores: Those of the pixels, (N,), without NaN; higher means more anomalous.
        areas: The number of pixels of each pixel's region, (N,); 0 of normal pixels.

    Raises:
        DataError: There is no normal pixel, or no region.
    """
    is_normal = areas == 0
    if is_normal.all() or not is_normal.any():
        regions = "no region" if is_normal.all() else "no normal pixel"
        raise DataError(
            f"a curve of per-region overlap needs both classes, there is {regions}",
            fix="use a split whose masks hold anomalies as well as background",
        )
    normal = np.sort(scores[is_normal])
    anomalous = scores[~is_normal]
    sizes = areas[~is_normal]
    # Equal scores are in the order of their areas, so that sums have the same bits in any order.
    order = np.lexsort((sizes, -anomalous))
    ranked = anomalous[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    overlap = np.cumsum(1.0 / sizes[order])[last]
    overlap /= overlap[-1]
    # At each score of an anomalous pixel: the rates just above it, and with it.
    above = normal.size - np.searchsorted(normal, ranked[last], side="right")
    reached = normal.size - np.searchsorted(normal, ranked[last], side="left")
    rates = np.stack([above, reached], 1).ravel() / normal.size
    overlaps = np.stack([np.concatenate([[0.0], overlap[:-1]]), overlap], 1).ravel()
    return np.concatenate([[0.0], rates, [1.0]]), np.concatenate([[0.0], overlaps, [1.0]])


def area_up_to(rates: Floats, values: Floats, limit: float) -> float:
    """The area under a curve up to a rate, by the trapezoidal rule, divided by that rate."""
    inside = rates <= limit
    x = rates[inside]
    y = values[inside]
    if x[-1] < limit:
        beyond = len(x)
        share = (limit - x[-1]) / (rates[beyond] - x[-1])
        y = np.append(y, y[-1] + share * (values[beyond] - y[-1]))
        x = np.append(x, limit)
    return math.fsum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit


def aupro(scores: NDArray[Any], areas: NDArray[Any], limit: float = 0.3) -> float:
    """The area under the per-region overlap up to a false-positive rate, divided by that rate.

    Between two thresholds the curve is a straight line. A perfect detector has 1; where all
    scores are equal it is limit / 2.

    Args:
        scores: Those of the pixels, (N,), without NaN; higher means more anomalous.
        areas: The number of pixels of each pixel's region, (N,); 0 of normal pixels.
        limit: The false-positive rate, over 0 and at most 1.

    Raises:
        DataError: There is no normal pixel, or no region.
    """
    return area_up_to(*pro_curve(scores, areas), limit)


def false_alarm_rate(
    scores: NDArray[Any], anomalous: NDArray[np.bool_], tpr: float
) -> tuple[float, float]:
    """The share of normal pixels at the highest threshold that enough anomalous pixels reach.

    Args:
        scores: Those of the pixels, (N,), without NaN; higher means more anomalous.
        anomalous: True of anomalous pixels, (N,).
        tpr: The true-positive rate: the least share of anomalous pixels, over 0 and at most 1.

    Returns:
        The rate, and the threshold: a pixel is decided where its score is at least that.

    Raises:
        DataError: There is only one class.
    """
    normal = scores[~anomalous]
    positive = np.sort(scores[anomalous])
    if not normal.size or not positive.size:
        raise DataError(
            f"a false-alarm rate needs both classes, got {positive.size} anomalous and "
            f"{normal.size} normal pixels",
            fix="use a split whose masks hold anomalies as well as background",
        )
    needed = max(1, math.ceil(tpr * positive.size - ROUNDING))
    threshold = positive[positive.size - needed]
    return int((normal >= threshold).sum()) / normal.size, float(threshold)
