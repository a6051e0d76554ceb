"""Confidence intervals of shares."""

from scipy import special

from specloom import DataError


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a probability, two-sided, from ``count`` events in ``total`` trials.

    Clopper and Pearson, 1934, Biometrika 26(4):404-413; it covers the probability in at least
    ``confidence`` of all samples.

    Args:
        count: The number of events.
        total: The number of trials.
        confidence: The probability of covering, over 0 and below 1.

    Raises:
        DataError: There is no trial, or ``count`` is not from 0 to ``total``.

    >>> clopper_pearson(0, 20)
    (0.0, 0.1684334...)
    """
    if not 0 <= count <= total or total == 0:
        raise DataError(
            f"{count} events in {total} trials have no interval",
            fix="pass a count from 0 to a total of at least 1",
        )
    tail = (1 - confidence) / 2
    low = 0.0
    high = 1.0
    if count > 0:
        low = float(special.betaincinv(count, total - count + 1, tail))
    if count < total:
        high = float(special.betaincinv(count + 1, total - count, 1 - tail))
    return low, high
