"""The chi-square distribution, without SciPy."""

from __future__ import annotations

import torch

BISECTIONS = 200


def chi_square_share(value: float, degrees: int) -> float:
    """The probability that chi-square with ``degrees`` of freedom does not exceed ``value``."""
    half_degrees = torch.tensor(degrees / 2, dtype=torch.float64)
    half_value = torch.tensor(value / 2, dtype=torch.float64)
    return float(torch.special.gammainc(half_degrees, half_value))


def chi_square_quantile(share: float, degrees: int) -> float:
    """The value that chi-square with ``degrees`` of freedom does not exceed with this probability.

    Args:
        share: The probability, from 0 to below 1.
        degrees: 1 or more.
    """
    low = 0.0
    high = float(degrees)
    while chi_square_share(high, degrees) < share:
        high *= 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if chi_square_share(middle, degrees) < share:
            low = middle
        else:
            high = middle
    return high
