"""Peaks over threshold: the generalised Pareto distribution of the largest scores."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from specloom_training.calibration.intervals import draw_weights, interval_of
from specloom_training.calibration.sample import Sample

SHAPES = (-0.5, 1.0)
"""The shapes that a fit may have: maximum likelihood is regular above -0.5."""

LARGEST_LOSS = 1e9
"""The loss of what is not regular."""

THETAS = 400
"""How many values of shape / scale a resample tries."""


class ParetoTail(NamedTuple):
    """The tail of the scores above a level."""

    level: float
    share: float
    """The rate at the level itself."""
    shape: float
    scale: float

    def rate(self, threshold: float) -> float:
        """The rate of scores above a threshold, which is at least the level."""
        excess = threshold - self.level
        return self.share * float(stats.genpareto.sf(excess, self.shape, scale=self.scale))

    def threshold(self, rate: float) -> float:
        """The threshold that this rate of scores reaches, at most that of the level."""
        excess = stats.genpareto.isf(rate / self.share, self.shape, scale=self.scale)
        return self.level + float(excess)


def fit_tail(sample: Sample, level: float) -> ParetoTail:
    """The tail above a level by maximum likelihood.

    With theta = shape / scale the likelihood has one parameter, as the best shape for a theta is
    the mean of log(1 + theta x) (Grimshaw, 1993, Technometrics 35(2):185-191, eq. 2.4). An event
    that lowers the number of false alarms counts negatively, in the mean as in the number.

    Args:
        sample: The scores of normal images.
        level: The level.
    """
    excesses, signs, _ = _above(sample, level)
    count = signs.sum()
    thetas = _thetas(excesses)
    shapes = np.array([signs @ np.log1p(theta * excesses) for theta in thetas]) / count
    best = int(_likelihoods(shapes, thetas).argmax())
    around = thetas[max(best - 1, 0)], thetas[min(best + 1, THETAS - 1)]

    def loss(theta: float) -> float:
        shape = signs @ np.log1p(theta * excesses) / count
        likelihood = float(_likelihoods(np.array([shape]), np.array([theta]))[0])
        return min(-likelihood, LARGEST_LOSS)

    found = optimize.minimize_scalar(loss, bounds=around, method="bounded")
    theta = float(thetas[best])
    if found.fun < loss(theta):
        theta = float(found.x)
    shape = float(signs @ np.log1p(theta * excesses) / count)
    return ParetoTail(level, float(count) / sample.total, shape, shape / theta)


def _above(
    sample: Sample, level: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The excesses over a level, with their signs and groups, in a fixed order."""
    above = sample.scores > level
    order = np.lexsort([sample.signs[above], sample.scores[above]])
    excesses = sample.scores[above][order] - level
    return excesses, sample.signs[above][order], sample.groups[above][order]


def tail_interval(sample: Sample, level: float, threshold: float) -> tuple[float, float]:
    """The interval of the false-alarm rate on new images at a threshold in the tail.

    Groups are resampled as in ``rate_interval``, with one group more, and the tail is fitted to
    each resample.

    Args:
        sample: The scores of normal images.
        level: Where the tail begins.
        threshold: The threshold, at least the level.
    """
    excesses, signs, groups = _above(sample, level)
    size = len(sample.units)
    thetas = _thetas(excesses)
    counts = np.bincount(groups, signs, size)
    excess_sums = np.bincount(groups, signs * excesses, size)
    sums = np.zeros((size, THETAS))
    for column, theta in enumerate(thetas):
        sums[:, column] = np.bincount(groups, signs * np.log1p(theta * excesses), size)
    order = np.lexsort([sums[:, 0], excess_sums, sample.units, counts])
    order = order[sample.units[order] > 0]
    counts = counts[order]
    units = sample.units[order]
    sums = sums[order]
    worst = int((excess_sums[order] / units).argmax())
    lows = []
    highs = []
    for weights in draw_weights(len(order), sample.more):
        own = weights[:, :-1]
        extra = weights[:, -1:]
        total = own @ units + extra[:, 0] * units.mean()
        exceeding = own @ counts
        logs = own @ sums
        lows.append(_tail_rates(exceeding, logs, thetas, threshold - level) / total)
        scale = units.mean() / units[worst]
        exceeding = exceeding + extra[:, 0] * counts[worst] * scale
        logs = logs + extra * sums[worst] * scale
        highs.append(_tail_rates(exceeding, logs, thetas, threshold - level) / total)
    return interval_of(np.concatenate(lows), np.concatenate(highs))


def _tail_rates(
    exceeding: NDArray[np.float64],
    logs: NDArray[np.float64],
    thetas: NDArray[np.float64],
    excess: float,
) -> NDArray[np.float64]:
    """How many scores exceed a threshold in each resample, by the tail fitted to it, (N,).

    Args:
        exceeding: How many exceed the level, (N,).
        logs: The sums of log(1 + theta x) over their excesses x, (N, thetas).
        thetas: Values of shape / scale.
        excess: The threshold, over the level.
    """
    shapes = logs / exceeding[:, None]
    best = _likelihoods(shapes, thetas).argmax(1)
    shape = shapes[np.arange(len(best)), best]
    survival = stats.genpareto.sf(excess, shape, scale=shape / thetas[best])
    rates: NDArray[np.float64] = exceeding * survival
    return rates


def _thetas(excesses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of shape / scale, denser near 0, of which none is 0."""
    mean = excesses.mean()
    # 1 + theta x is positive for all excesses.
    steepest = (1 - 1e-6) * mean / excesses.max()
    half = THETAS // 2
    negative = -np.geomspace(steepest, 1e-4 * steepest, half)
    positive = np.geomspace(1e-4, 50, half)
    thetas: NDArray[np.float64] = np.concatenate([negative, positive]) / mean
    return thetas


def _likelihoods(shapes: NDArray[np.float64], thetas: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean log-likelihood of each shape and theta; minus infinity where it is not regular."""
    allowed = (shapes >= SHAPES[0]) & (shapes <= SHAPES[1])
    scales = np.where(allowed, shapes / thetas, 1.0)
    likelihoods: NDArray[np.float64] = np.where(allowed, -np.log(scales) - shapes - 1, -np.inf)
    return likelihoods
