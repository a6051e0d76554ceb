"""Colours of scores: one scale for all images of a run, in reports and in pictures of files.

The colours are those of cividis, which grow lighter from blue to yellow, so that they can be read
with any colour vision, and printed in black and white.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

#: Ten colours of cividis (J. R. Nunez, C. R. Anderton and R. S. Renslow, 2018, PLOS ONE 13(7)).
CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838"

PERCENTILES = (1.0, 50.0, 99.9)
"""Of the scores of one image: where colours begin, the middle, and where they end."""

HEAVY_TAIL = 10.0
"""A tail is heavy where it is so many times as long above the middle as below it: 1.3 times for
a normal distribution, 9 for an exponential one."""

LEVELS = 255
"""The levels of a score: from 1 (the low end of the scale) to 255; 0 stands for no score."""

MISSING = (255, 255, 255)
"""The colour of pixels without a score."""


@dataclass(frozen=True)
class Spread:
    """Percentiles 1, 50 and 99.9 of the scores of one image."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class ColourScale:
    """The scores that the darkest and the lightest colour stand for.

    Args:
        low: The score of the darkest colour, as of all below it.
        high: The score of the lightest colour, as of all above it.
        log: Whether colours go by the logarithm of scores.
    """

    low: float
    high: float
    log: bool = False

    def shade(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return scores as 0 to 1; NaN stays NaN."""
        low = self._position(np.float64(self.low))
        high = self._position(np.float64(self.high))
        span = high - low
        if span == 0:
            span = 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            shades = (self._position(values.astype(np.float64)) - low) / span
        missing = np.isnan(values)
        shades = np.where(np.isnan(shades), 0.0, shades).clip(0, 1)
        return np.where(missing, np.nan, shades)

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return scores as levels from 1 to 255, and 0 where there is no score (NaN)."""
        shades = self.shade(values)
        missing = np.isnan(shades)
        levels = 1 + np.rint(np.where(missing, 0.0, shades) * (LEVELS - 1))
        return np.where(missing, 0, levels).astype(np.uint8)

    def ticks(self) -> list[float]:
        """Return the scores that the colour bar names: both ends, and round numbers between."""
        if self.high <= self.low:
            return [self.low]
        if self.log:
            between = _round_powers(self.low, self.high)
        else:
            between = _round_numbers(self.low, self.high)
        return [self.low, *between, self.high]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)

    def _position(self, values: Any) -> Any:
        if not self.log:
            return values
        return np.log10(np.maximum(values, 0))


def colour_scale(values: Mapping[str, Any]) -> ColourScale:
    """Return the scale that ``ColourScale.as_json`` described."""
    return ColourScale(float(values["low"]), float(values["high"]), bool(values.get("log")))


def spread(values: NDArray[Any], most: int | None = None) -> Spread | None:
    """Return the percentiles of the finite scores; None where there is none.

    Args:
        values: The scores.
        most: Of more scores, every second, third, ... counts; None for all of them.
    """
    found = percentiles(values, PERCENTILES, most)
    if found is None:
        return None
    low, middle, high = found
    return Spread(low, middle, high)


def percentiles(
    values: NDArray[Any], wanted: Sequence[float], most: int | None = None
) -> list[float] | None:
    """Return percentiles of the finite values; None where there is none.

    Args:
        values: The values.
        wanted: The percentiles.
        most: Of more values, every second, third, ... counts; None for all of them.
    """
    sample = values.ravel()
    if most is not None:
        sample = sample[:: max(1, values.size // most)]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return None
    found: list[float] = np.percentile(finite, wanted).tolist()
    return found


def common_scale(spreads: Iterable[Spread | None]) -> ColourScale | None:
    """Return one scale for several images; None where none has a finite score.

    It begins at the median of their percentiles 1, and ends at the greatest of their percentiles
    99.9: one image with anomalies sets its end, one hot pixel does not. It is logarithmic where it
    begins above 0, ends above twice its beginning, and the tail is heavy: where the end is more
    than ``HEAVY_TAIL`` times as far from the median of the medians as the beginning is.

    Args:
        spreads: Of each image; None of one without a finite score.
    """
    known = [one for one in spreads if one is not None]
    if not known:
        return None
    low = float(np.median([one.low for one in known]))
    middle = float(np.median([one.middle for one in known]))
    high = max(one.high for one in known)
    is_heavy = high - middle > HEAVY_TAIL * (middle - low)
    is_wide = high > 2 * low > 0
    return ColourScale(low, high, log=is_heavy and is_wide)


def cividis() -> NDArray[np.uint8]:
    """Return 256 colours (256, 3) from dark blue to yellow."""
    anchors = np.array([list(bytes.fromhex(one)) for one in CIVIDIS.split()], float)
    places = np.linspace(0, len(anchors) - 1, 256)
    numbers = np.arange(len(anchors))
    channels = [np.interp(places, numbers, channel) for channel in anchors.T]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, 1)).astype(np.uint8)
    return table


def colour_scores(shades: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return shades from 0 to 1, (H, W), as colours (H, W, 3); NaN is white."""
    missing = np.isnan(shades)
    levels = np.rint(np.where(missing, 0, shades) * 255).astype(np.uint8)
    picture: NDArray[np.uint8] = cividis()[levels]
    picture[missing] = MISSING
    return picture


def _round_numbers(low: float, high: float) -> list[float]:
    """Return some round numbers between two others."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [number * step for number in range(first, last + 1) if low < number * step < high]


def _round_powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two numbers; of many, powers alone."""
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    sizes: tuple[int, ...] = (1,)
    if last - first <= 3:
        sizes = (1, 2, 5)
    numbers = []
    for power in range(first, last + 1):
        numbers += [size * 10.0**power for size in sizes]
    return [number for number in numbers if low < number < high]
