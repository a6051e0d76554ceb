"""PNG pictures of maps: scores in the colours of cividis, decisions over a grey picture.

Both can be read with any colour vision, and printed in black and white: cividis grows lighter
from blue to yellow, and decided pixels are lighter than all of the grey.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from specloom_predict.writers.layout import Map, row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Cube

MAX_SIDE = 4096
"""Pixels on the longer side of a picture: of larger maps each pixel shows a square's maximum."""

LIMITS = (1.0, 99.9)
"""The percentiles of the scores that the ends of the colours stand for."""

SAMPLE = 1 << 20
CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838"
DECIDED = (255, 194, 10)
MISSING = (255, 255, 255)
LIGHTEST_GREY = 150
"""Of the picture behind decisions, so that every decided pixel is lighter."""


def write_scores(path: Path, one: Map) -> tuple[float, float]:
    """Write the first band of a map in colours; NaN is white.

    Returns:
        The scores that the darkest and the lightest colour stand for.
    """
    values = shrink(one.bands[..., 0])
    low, high = limits(values)
    shade = _scale(values, low, high)
    missing = np.isnan(shade)
    picture = _table()[np.rint(np.where(missing, 0, shade) * 255).astype(np.uint8)]
    picture[missing] = MISSING
    info = PngInfo()
    info.add_text("Limits", f"{low!r} (dark blue) to {high!r} (yellow)")
    Image.fromarray(picture).save(path, "PNG", pnginfo=info)
    return low, high


def write_decisions(path: Path, one: Map, grey: NDArray[np.uint8]) -> None:
    """Write decided pixels, in light orange, over a picture from ``grey_of``.

    Unjudged pixels are white."""
    dark = (grey.astype(np.uint16) * LIGHTEST_GREY // 255).astype(np.uint8)
    picture = np.repeat(dark[..., None], 3, axis=2)
    decided = shrink(one.bands[..., 0]) > 0
    if one.unjudged is not None:
        judged = shrink(~one.unjudged) > 0
        picture[~judged] = MISSING
    picture[decided] = DECIDED
    Image.fromarray(picture).save(path, "PNG")


def grey_of(cube: Cube, bands: int = 16) -> NDArray[np.uint8]:
    """A grey picture of a cube: the mean of some bands, between its percentiles 2 and 98."""
    height, width, count = cube.shape
    step = _step((height, width))
    chosen = np.unique(np.linspace(0, len(cube.good_bands) - 1, bands).round().astype(int))
    parts = []
    for rows in row_blocks(height, width * count * cube.dtype.itemsize, step):
        pixels = cube.clean(rows)[::step, ::step, chosen].astype(np.float32)
        good = np.isfinite(pixels)
        total = np.where(good, pixels, 0).sum(-1, dtype=np.float64)
        parts.append(np.where(good.any(-1), total / np.maximum(good.sum(-1), 1), np.nan))
    mean = np.concatenate(parts)
    low, high = limits(mean, (2.0, 98.0))
    shade = _scale(mean, low, high)
    grey: NDArray[np.uint8] = np.rint(np.nan_to_num(shade) * 255).astype(np.uint8)
    return grey


def limits(values: NDArray[Any], percentiles: tuple[float, float] = LIMITS) -> tuple[float, float]:
    """Two percentiles of the finite values, from evenly spaced ones where there are many."""
    sample = values.ravel()[:: max(1, values.size // SAMPLE)]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, percentiles)
    return float(low), float(high)


def _scale(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Values between two limits as 0 to 1, those outside as the nearer of the two."""
    span = (high - low) or 1.0
    return np.clip((values - low) / span, 0, 1)


def shrink(values: NDArray[Any]) -> NDArray[np.float64]:
    """A map of at most ``MAX_SIDE`` pixels a side, each a square's maximum; NaN where all are."""
    step = _step(values.shape)
    if step == 1:
        return values.astype(np.float64)
    rows = [
        np.fmax.reduceat(
            np.fmax.reduce(values[top : top + step], axis=0).astype(np.float64),
            np.arange(0, values.shape[1], step),
        )
        for top in range(0, values.shape[0], step)
    ]
    return np.stack(rows)


def _step(size: tuple[int, ...]) -> int:
    return -(-max(size[:2]) // MAX_SIDE)


def _table() -> NDArray[np.uint8]:
    """256 colours between the anchors of cividis."""
    anchors = np.array([list(bytes.fromhex(one)) for one in CIVIDIS.split()], float)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, 1)).astype(np.uint8)
    return table
