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
    """The false-positive rate and the per-region overlap at each distinct threshold, from 0 on.

    The per-region overlap (PRO) is the mean over anomalous regions of the share of a region's
    pixels that reach the threshold (Bergmann et al., 2021, IJCV 129:1038-1059, section 5.2).

    Args:
        scores: Those of the pixels, (N,), without NaN; higher means more anomalous.
        areas: The number of pixels of each pixel's region, (N,); 0 of normal pixels.

    Raises:
        DataError: There is no normal pixel, or no region.
    """
    normal = areas == 0
    if normal.all() or not normal.any():
        regions = "no region" if normal.all() else "no normal pixel"
        raise DataError(
            f"a curve of per-region overlap needs both classes, there is {regions}",
            fix="use a split whose masks hold anomalies as well as background",
        )
    # Equal scores are in the order of their areas, so that sums have the same bits in any order.
    order = np.lexsort((areas, -scores))
    ranked = scores[order]
    weights = np.zeros(areas.size)
    np.divide(1.0, areas[order], out=weights, where=~normal[order])
    overlap = np.cumsum(weights)
    false_positives = np.cumsum(normal[order])
    last = np.append(ranked[1:] != ranked[:-1], True)
    rates = false_positives[last] / false_positives[-1]
    overlaps = overlap[last] / overlap[-1]
    return np.concatenate([[0.0], rates]), np.concatenate([[0.0], overlaps])


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
