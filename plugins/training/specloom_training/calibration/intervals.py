"""Confidence intervals of false-alarm rates, from resampling images or blocks of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from specloom_training.calibration.sample import Sample

CONFIDENCE = 0.95
RESAMPLES = 2000
WEIGHTS = 1 << 22
"""How many weights of groups are drawn together."""


def rate_interval(sample: Sample, threshold: float) -> tuple[float, float]:
    """The interval of the false-alarm rate on new images at a threshold found on these.

    Groups are resampled by the Bayesian bootstrap (Rubin, 1981, Ann. Stat. 9(1):130-134), with one
    group more, as new images may be unlike these: without a false alarm for the lower end, with
    those of the worst group for the upper end (Gaffke, 2005, Math. Methods Stat. 14(4):451-467).
    Blocks of an image depend on each other, so that this group counts as several of them. Where
    each group has one pixel or image at most, it is the interval of Clopper and Pearson.

    Args:
        sample: The scores of normal images.
        threshold: The threshold.
    """
    counts = sample.counts(threshold)
    counts, units = _in_fixed_order(counts, sample.units)
    mean_units = units.mean()
    worst = max(1.0, float((counts / units).max()) * mean_units)
    lows = []
    highs = []
    for weights in draw_weights(len(units), sample.more):
        own = weights[:, :-1]
        extra = weights[:, -1]
        total = own @ units + extra * mean_units
        found = own @ counts
        lows.append(found / total)
        highs.append((found + extra * worst) / total)
    return interval_of(np.concatenate(lows), np.concatenate(highs))


def interval_of(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> tuple[float, float]:
    """The lower end from one set of resampled rates, the upper end from another one."""
    tail = (1 - CONFIDENCE) / 2
    return float(np.quantile(lows, tail)), float(np.quantile(highs, 1 - tail))


def draw_weights(groups: int, more: float) -> Iterator[NDArray[np.float64]]:
    """Weights of groups, and of one more, in resamples, (N, groups + 1) for a part of these.

    Args:
        groups: The number of groups.
        more: As how many groups the one more counts.
    """
    rng = np.random.default_rng(0)
    remaining = RESAMPLES
    while remaining:
        count = min(remaining, max(1, WEIGHTS // (groups + 1)))
        weights = rng.standard_exponential((count, groups + 1))
        if more != 1:
            weights[:, -1] = rng.standard_gamma(more, count)
        yield weights
        remaining -= count


def _in_fixed_order(
    counts: NDArray[np.float64], units: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The groups that have pixels, in an order that does not depend on that of the images."""
    order = np.lexsort([units, counts])
    order = order[units[order] > 0]
    return counts[order], units[order]
