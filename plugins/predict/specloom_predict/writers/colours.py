"""Scores as colours: the scale of many cubes, and its colour bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from specloom_pictures import ColourScale, Spread, colour_scores, common_scale, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING = (255, 255, 255)
INK = (0, 0, 0)

SAMPLE = 1 << 20
"""Of more scores of a cube, every second, third, … counts for the scale."""

MIN_BAR = 160
BAR_WIDTH = 16
GAP = 12
FONT_SIZE = 12
TICK = 4
MARGIN = 8


def spread_of(values: NDArray[Any]) -> Spread | None:
    """The percentiles of the finite scores of a cube; None where there is none."""
    return spread(values, SAMPLE)


def scale_of(spreads: Iterable[Spread | None]) -> ColourScale:
    """One scale for several cubes, of which some may be without a finite score."""
    found = common_scale(spreads)
    if found is None:
        return ColourScale(0.0, 0.0)
    return found


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
    canvas.paste(Image.fromarray(colour_scores(ramp)), (bar_left, top))
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
