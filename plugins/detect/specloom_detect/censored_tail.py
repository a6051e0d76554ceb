"""The tail of scores among which there may be those of anomalies: the largest are censored."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from specloom import DataError
from specloom_detect.distributions import (
    pareto_log_density,
    pareto_log_survival,
    pareto_quantile,
)

CENSORED = 0.02
"""The share of the largest scores of which only the number counts."""

TAIL = 0.08
"""The share of the scores that the tail is fitted to, the censored ones included."""

SHAPE_DEVIATION = 0.1
"""The standard deviation of the prior of the shape.

The scores between the two shares say little of the shape where they are few. 0 is an exponential
tail, as of normally distributed pixels.
"""

SHAPES = (-0.5, 1.0)
"""The shapes that a fit may have."""

STARTS = (-0.1, 0.1, 0.4)
"""The shapes that the search for the best one starts from."""

MOST_SCORES = 20_000
"""Of more scores every so many-th is used; they are sorted, so that the shares stay the same."""

LEAST_SCORES = 50
"""A tail is fitted to at least so many scores that are not censored."""


class CensoredTail(NamedTuple):
    """A generalised Pareto distribution of the scores above a level.

    Args:
        level: The level.
        share: The share of the scores above it.
        shape: The shape.
        scale: The scale.
        scores: How many scores it was fitted to, without the censored ones.
    """

    level: float
    share: float
    shape: float
    scale: float
    scores: int

    def threshold(self, rate: float) -> float:
        """The threshold that this share of normal scores exceeds; the rate is at most the share."""
        return self.level + pareto_quantile(rate / self.share, self.shape, self.scale)


def fit_censored_tail(
    scores: NDArray[np.float64], censored: float = CENSORED, tail: float = TAIL
) -> CensoredTail:
    """The tail of scores (N,) of which a share of the largest may be of anomalies.

    Peaks over threshold (A. C. Davison, R. L. Smith, J. R. Stat. Soc. B 52(3):393-442, 1990), where
    of the largest scores only counts that they lie above the others (right censoring), and with a
    prior of the shape, as in generalised maximum likelihood (E. S. Martins, J. R. Stedinger, Water
    Resour. Res. 37(10):2551-2557, 2001).

    Args:
        scores: Finite scores.
        censored: The share of the largest ones that is censored.
        tail: The share that is the tail, the censored ones included.

    Raises:
        DataError: There are too few scores, or too many equal ones.
    """
    from scipy import optimize

    falling = np.sort(scores)[::-1]
    first = int(len(falling) * censored)
    last = int(len(falling) * tail)
    if last - first < LEAST_SCORES:
        raise DataError(
            f"{len(falling)} pixels are too few for a threshold: the tail has {last - first}, "
            f"{LEAST_SCORES} are needed",
            fix="use larger cubes, or several at a time",
        )
    level = float(falling[last])
    end = float(falling[first]) - level
    excesses = falling[first:last] - level
    mean = float(excesses.mean())
    step = -(-len(excesses) // MOST_SCORES)
    fitted = excesses[::step]
    if mean <= 0:
        raise DataError(
            "the scores in the tail are all equal, so that no threshold follows from them",
            fix="check the cube: its pixels may be constant, or of few values",
        )

    def loss(values: NDArray[np.float64]) -> float:
        shape = float(values[0])
        scale = mean * float(np.exp(values[1]))
        return -_log_posterior(fitted, step, end, first, shape, scale)

    starts = [optimize.minimize(loss, [shape, 0.3], method="Nelder-Mead") for shape in STARTS]
    found = min(starts, key=lambda start: float(start.fun))
    scale = mean * float(np.exp(found.x[1]))
    share = last / len(falling)
    return CensoredTail(level, share, float(found.x[0]), scale, last - first)


def _log_posterior(
    excesses: NDArray[np.float64],
    weight: int,
    end: float,
    censored: int,
    shape: float,
    scale: float,
) -> float:
    """The logarithm of likelihood and prior; very low where the shape is not allowed.

    Args:
        excesses: Scores above the level, that are not censored.
        weight: How many scores each of them stands for.
        end: Where the censored ones begin, above the level.
        censored: How many these are.
        shape: The shape.
        scale: The scale.
    """
    if not SHAPES[0] <= shape <= SHAPES[1]:
        return -1e12
    likelihood = weight * pareto_log_density(excesses, shape, scale).sum()
    likelihood += censored * pareto_log_survival(end, shape, scale)
    prior = -0.5 * (shape / SHAPE_DEVIATION) ** 2
    if not np.isfinite(likelihood):
        return -1e12
    return float(likelihood + prior)
