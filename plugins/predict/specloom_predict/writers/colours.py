"""Scores as colours: one scale for the pictures of many cubes, and its colour bar.

The colours are those of cividis, which grow lighter from blue to yellow, so that they can be read
with any colour vision, and printed in black and white.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838"
MISSING = (255, 255, 255)
INK = (0, 0, 0)

PERCENTILES = (1.0, 50.0, 99.9)
"""Of the scores of one cube: where colours begin, the middle, and where they end."""

HEAVY_TAIL = 10.0
"""A tail is heavy where it is so many times as long above the middle as below it: 1.3 times for
a normal distribution, 9 for an exponential one."""

SAMPLE = 1 << 20
MIN_BAR = 160
BAR_WIDTH = 16
GAP = 12
FONT_SIZE = 12
TICK = 4
MARGIN = 8


@dataclass(frozen=True)
class Spread:
    """Three percentiles of the scores of one cube.

    Args:
        low: Percentile 1.
        middle: The median.
        high: Percentile 99.9.
    """

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
        """Scores as 0 to 1; NaN stays NaN."""
        low = self._position(np.float64(self.low))
        high = self._position(np.float64(self.high))
        span = (high - low) or 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            shades = (self._position(values.astype(np.float64)) - low) / span
        missing = np.isnan(values)
        shades = np.clip(np.where(np.isnan(shades), 0.0, shades), 0, 1)
        return np.where(missing, np.nan, shades)

    def ticks(self) -> list[float]:
        """The scores that the colour bar names: both ends, and round numbers between."""
        if self.high <= self.low:
            return [self.low]
        between = _round_powers(self.low, self.high) if self.log else _round(self.low, self.high)
        return [self.low, *between, self.high]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)

    def _position(self, values: Any) -> Any:
        if not self.log:
            return values
        return np.log10(np.maximum(values, 0))


def spread(values: NDArray[Any]) -> Spread | None:
    """The percentiles of the finite values, from evenly spaced ones where there are many."""
    found = percentiles(values, PERCENTILES)
    if found is None:
        return None
    return Spread(*found)


def percentiles(values: NDArray[Any], wanted: Sequence[float]) -> list[float] | None:
    """Percentiles of the finite values, from evenly spaced ones where there are many."""
    sample = values.ravel()[:: max(1, values.size // SAMPLE)]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return None
    found: list[float] = np.percentile(finite, wanted).tolist()
    return found


def common_scale(spreads: Iterable[Spread | None]) -> ColourScale:
    """One scale for several cubes.

    It begins at the median of their percentiles 1, and ends at the greatest of their percentiles
    99.9: one cube with anomalies sets its end, one hot pixel does not. It is logarithmic where it
    begins above 0, ends above twice its beginning, and the tail is heavy: where the end is more
    than ``HEAVY_TAIL`` times as far from the median of the medians as the beginning is.

    Args:
        spreads: Of each cube; None of one without a finite score.
    """
    known = [one for one in spreads if one is not None]
    if not known:
        return ColourScale(0.0, 0.0)
    low = float(np.median([one.low for one in known]))
    middle = float(np.median([one.middle for one in known]))
    high = max(one.high for one in known)
    is_heavy = high - middle > HEAVY_TAIL * (middle - low)
    is_wide = high > 2 * low > 0
    return ColourScale(low, high, log=is_heavy and is_wide)


def colour_scale(values: Mapping[str, Any]) -> ColourScale:
    """A scale from ``ColourScale.as_json``."""
    return ColourScale(float(values["low"]), float(values["high"]), bool(values["log"]))


def colours(shades: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shades (H, W) as colours (H, W, 3); NaN is white."""
    missing = np.isnan(shades)
    picture: NDArray[np.uint8] = _table()[
        np.rint(np.where(missing, 0, shades) * 255).astype(np.uint8)
    ]
    picture[missing] = MISSING
    return picture


def with_colour_bar(picture: NDArray[np.uint8], scale: ColourScale, title: str) -> Image.Image:
    """A picture with a title and, to its right, a bar of the colours with the scores they mean."""
    height, width = picture.shape[:2]
    font = ImageFont.load_default(FONT_SIZE)
    ticks = scale.ticks()
    texts = [f"{value:.4g}" for value in ticks]
    if scale.log:
        title = f"{title}, logarithmic"
    top = MARGIN + FONT_SIZE + MARGIN
    bar_height = max(height, MIN_BAR)
    bar_left = MARGIN + width + GAP
    text_left = bar_left + BAR_WIDTH + TICK + 3
    text_width = max(int(font.getlength(text)) for text in texts)
    full_width = max(text_left + text_width, MARGIN + int(font.getlength(title))) + MARGIN
    canvas = Image.new("RGB", (full_width, top + bar_height + MARGIN), MISSING)
    canvas.paste(Image.fromarray(picture), (MARGIN, top))
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 2), title, fill=INK, font=font)
    ramp = np.linspace(1, 0, bar_height)[:, None].repeat(BAR_WIDTH, axis=1)
    canvas.paste(Image.fromarray(colours(ramp)), (bar_left, top))
    positions = 1 - scale.shade(np.array(ticks))
    rows = top + positions * (bar_height - 1)
    for row, text in _legible(rows.tolist(), texts):
        right = bar_left + BAR_WIDTH
        draw.line([(right, row), (right + TICK, row)], fill=INK)
        middle = min(max(row, top + FONT_SIZE // 2), top + bar_height - FONT_SIZE // 2)
        draw.text((text_left, middle), text, fill=INK, font=font, anchor="lm")
    return canvas


def _legible(rows: Sequence[float], texts: Sequence[str]) -> list[tuple[float, str]]:
    """The marks of the bar that have room: both ends, and those between that touch no other."""
    marks = list(zip(rows, texts, strict=True))
    chosen = [marks[0], *marks[1:][-1:]]
    for row, text in marks[1:-1]:
        if all(abs(row - other) >= 1.5 * FONT_SIZE for other, _ in chosen):
            chosen.append((row, text))
    return chosen


def _round(low: float, high: float) -> list[float]:
    """Some round numbers between two others."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [number * step for number in range(first, last + 1) if low < number * step < high]


def _round_powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two numbers; powers alone where these are many."""
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    sizes = (1, 2, 5) if last - first <= 3 else (1,)
    numbers = [size * 10.0**power for power in range(first, last + 1) for size in sizes]
    return [number for number in numbers if low < number < high]


def _table() -> NDArray[np.uint8]:
    """256 colours between the anchors of cividis."""
    anchors = np.array([list(bytes.fromhex(one)) for one in CIVIDIS.split()], float)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, 1)).astype(np.uint8)
    return table
