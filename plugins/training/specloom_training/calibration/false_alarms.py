"""Thresholds for a false-alarm rate."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from specloom import DataError
from specloom_training.calibration.intervals import CONFIDENCE, rate_interval
from specloom_training.calibration.normals import NormalScores, Per
from specloom_training.calibration.sample import Sample

Method: TypeAlias = Literal["empirical", "chi_square", "peaks_over_threshold"]

LEAST_EXPECTED = 10
"""A rate of which fewer false alarms are expected is extrapolated."""

LEAST_PEAKS = 20
"""A tail is fitted to at least so many scores."""

MOST_PEAKS = 20_000
"""A tail is fitted to at most so many scores."""

TAILS = {"pixel": 0.01, "object": 0.003, "image": 0.5}
"""The share of the pixels, or of the images, whose scores make the tail."""


RATES = {
    "pixel": "of the normal pixels",
    "object": "false objects an image",
    "image": "of the normal images",
}
"""What a rate is a share or a number of."""


@dataclass(frozen=True)
class FalseAlarmThreshold:
    """A threshold and the false-alarm rate that it is for.

    Args:
        threshold: The threshold.
        rate: The rate that was set.
        per: What a false alarm is.
        method: How the threshold was found.
        interval: The interval of the rate on new images.
        exceedances: The false alarms of the images it was found on.
        expected: The false alarms that the rate stands for on these images.
        images: The number of images.
        resampled: What the interval comes from, ``images`` or ``blocks``.
        details: What the method found besides.
    """

    threshold: float
    rate: float
    per: Per
    method: Method
    interval: tuple[float, float]
    exceedances: int
    expected: float
    images: int
    resampled: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_extrapolated(self) -> bool:
        """Whether the images are too few for the rate."""
        return self.expected < LEAST_EXPECTED

    def values(self) -> dict[str, Any]:
        """Everything as plain values, for ``run.json``."""
        return {
            "threshold": self.threshold,
            "false_alarm_rate": self.rate,
            "per": self.per,
            "method": self.method,
            "interval": list(self.interval),
            "confidence": CONFIDENCE,
            "exceedances": self.exceedances,
            "expected_exceedances": self.expected,
            "extrapolated": self.is_extrapolated,
            "images": self.images,
            "resampled": self.resampled,
            **self.details,
        }

    def line(self) -> str:
        """Everything in one line."""
        low, high = self.interval
        text = (
            f"threshold {self.threshold:.6g} for {self.rate:.3g} {RATES[self.per]} "
            f"({CONFIDENCE:.0%} interval {low:.2g} to {high:.2g}), "
            f"{self.exceedances} exceedances in {self.images} images, {self.method}"
        )
        if self.is_extrapolated:
            text += f", extrapolated: {self.expected:.2g} exceedances expected"
        return text


def empirical_threshold(normals: NormalScores, rate: float, per: Per) -> FalseAlarmThreshold:
    """The lowest threshold at and above which no more false alarms are than the rate allows.

    It lies in the middle between two scores.

    Raises:
        DataError: The rate is higher than that of any threshold whose pixels are stored.
    """
    sample = normals.sample()
    threshold = _empirical(sample, rate)
    return _described(normals, sample, threshold, rate, per, "empirical")


def _empirical(sample: Sample, rate: float) -> float:
    levels, counts = sample.levels()
    # Rounding must not cost a false alarm: 0.29 * 100 is 28.999999999999996.
    allowed = rate * sample.total * (1 + 1e-12)
    exceeding = np.flatnonzero(counts > allowed)
    if not len(exceeding):
        what = f"no threshold has {allowed:.6g} false alarms, the rate {rate:.6g}"
        fix = "lower false_alarm_rate"
        if sample.floor > -math.inf:
            what = (
                f"a false-alarm rate of {rate:.6g} needs more than the {len(sample.scores)} "
                "largest scores, which are stored"
            )
            fix = "lower false_alarm_rate, or calibrate on fewer images"
        raise DataError(what, fix=fix)
    first = int(exceeding[0])
    if first == 0:
        return float(np.nextafter(np.float32(levels[0]), np.float32(math.inf)))
    return float(levels[first - 1] / 2 + levels[first] / 2)


def chi_square_threshold(
    normals: NormalScores, rate: float, per: Per, freedom: int, scale: float, offset: float
) -> FalseAlarmThreshold:
    """The threshold of scores that are chi-square distributed and independent from pixel to pixel.

    Args:
        normals: The scores of normal images, from which the interval comes.
        rate: The rate.
        per: What a false alarm is; for objects, each pixel above the threshold is one.
        freedom: The degrees of freedom.
        scale: The factor of a chi-square score in what the decider reads.
        offset: What is added to it.
    """
    from scipy import stats  # it takes half a second, which other methods do not need

    sample = normals.sample()
    pixels = normals.pixels_per_image()
    share = rate
    if per == "object":
        share = rate / pixels
    if per == "image":
        share = -math.expm1(math.log1p(-rate) / pixels)
    threshold = scale * float(stats.chi2.isf(share, freedom)) + offset
    details = {"degrees_of_freedom": freedom}
    return _described(normals, sample, threshold, rate, per, "chi_square", details)


def tail_threshold(
    normals: NormalScores, rate: float, per: Per, tail: float | None
) -> FalseAlarmThreshold:
    """The threshold from a generalised Pareto distribution of the largest scores.

    Source: A. C. Davison, R. L. Smith, J. R. Stat. Soc. B 52(3):393-442, 1990.

    Args:
        normals: The scores of normal images.
        rate: The rate.
        per: What a false alarm is.
        tail: The share of the pixels, or of the images, whose scores make the tail.

    Raises:
        DataError: The tail has too few scores, or the rate lies outside it.
    """
    from specloom_training.calibration.extremes import fit_tail, tail_interval  # scipy.stats

    share = tail or TAILS[per]
    sample = normals.sample()
    level = _tail_level(normals, sample, share, per)
    count = int(sample.signs[sample.scores > level].sum())
    if count < LEAST_PEAKS:
        raise DataError(
            f"a tail of {count} scores is too short for peaks over threshold, which needs "
            f"{LEAST_PEAKS}",
            fix="calibrate on more images, raise tail, or use method: empirical",
        )
    if rate * sample.total >= count:
        raise DataError(
            f"a false-alarm rate of {rate:.6g} lies outside the tail, which has the rate "
            f"{count / sample.total:.3g}",
            fix="use method: empirical, or raise tail",
        )
    fitted = fit_tail(sample, level)
    threshold = fitted.threshold(rate)
    details = {
        "tail_level": level,
        "tail_exceedances": count,
        "shape": fitted.shape,
        "scale": fitted.scale,
    }
    interval = tail_interval(sample, level, threshold)
    return _described(
        normals, sample, threshold, rate, per, "peaks_over_threshold", details, interval
    )


def _tail_level(normals: NormalScores, sample: Sample, share: float, per: Per) -> float:
    if per != "object":
        count = min(int(share * sample.total), MOST_PEAKS, len(sample.scores) - 1)
        return float(sample.scores[max(count, 0)])
    return normals.tail_level(share)


def _described(
    normals: NormalScores,
    sample: Sample,
    threshold: float,
    rate: float,
    per: Per,
    method: Method,
    details: dict[str, Any] | None = None,
    interval: tuple[float, float] | None = None,
) -> FalseAlarmThreshold:
    if interval is None:
        interval = rate_interval(sample, threshold)
    return FalseAlarmThreshold(
        threshold,
        rate,
        per,
        method,
        interval,
        sample.exceedances(threshold),
        rate * sample.total,
        normals.images,
        sample.resampled,
        details or {},
    )
