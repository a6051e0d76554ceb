"""The generalised Pareto and the chi-square distribution, as ``scipy.stats`` has them.

Importing ``scipy.stats`` takes longer than finding the anomalies of a small cube; these are the
same formulas on ``scipy.special``, to the last bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pareto_log_density(
    values: NDArray[np.float64],
    shape: float,
    scale: float,
) -> NDArray[np.float64]:
    """The logarithms of the density of a generalised Pareto distribution, (N,).

    Args:
        values: Values (N,) of 0 or more; above the end of the distribution the density is 0.
        shape: The shape; 0 is exponential.
        scale: The scale, above 0.
    """
    from scipy import special

    standard = values / scale
    inside = (standard >= 0) & (standard <= _end(shape))
    logs = np.full(standard.shape, -np.inf)
    if shape == 0:
        logs[inside] = -standard[inside]
    else:
        logs[inside] = -special.xlog1py(shape + 1.0, shape * standard[inside]) / shape
    logs -= np.log(scale)
    return logs


def pareto_log_survival(value: float, shape: float, scale: float) -> float:
    """The logarithm of the probability of a value above ``value``, which is 0 or more."""
    from scipy import special

    standard = value / scale
    if standard <= 0:
        return 0.0
    if standard >= _end(shape):
        return -math.inf
    if shape == 0:
        return -standard
    return float(-special.log1p(shape * standard) / shape)


def pareto_quantile(rate: float, shape: float, scale: float) -> float:
    """The value that a share ``rate`` of a generalised Pareto distribution exceeds.

    Args:
        rate: From 0 to 1; of another one the value is NaN.
        shape: The shape.
        scale: The scale, above 0.
    """
    from scipy import special

    if not 0 <= rate <= 1:
        return math.nan
    if rate == 0:
        return _end(shape) * scale
    if rate == 1:
        return 0.0
    return float(-special.boxcox(rate, -shape) * scale)


def chi_square_quantile(rate: float, freedom: float) -> float:
    """The value that a share ``rate``, between 0 and 1, of a chi-square distribution exceeds."""
    from scipy import special

    return float(special.chdtri(freedom, rate))


def _end(shape: float) -> float:
    """The largest value of a generalised Pareto distribution of scale 1."""
    if shape < 0:
        return -1.0 / shape
    return math.inf
