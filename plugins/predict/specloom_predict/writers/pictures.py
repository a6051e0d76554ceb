"""PNG pictures of maps: scores in colours with a colour bar, decisions over a grey picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from specloom_pictures import (
    DECIDED,
    ColourScale,
    colour_scores,
    percentiles,
    stretched_colours,
)
from specloom_predict.writers.colours import MISSING, SAMPLE, with_colour_bar
from specloom_predict.writers.layout import Map, row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Cube

MAX_SIDE = 4096
"""Pixels on the longer side of a picture: of larger maps each pixel shows a square's maximum."""

MIN_SIDE = 480
"""Smaller maps are enlarged as often as they fit into so many pixels, so that they can be seen."""

GREY_LIMITS = (2.0, 98.0)
"""The percentiles of the cube that black and white of a grey picture stand for."""

LIGHTEST_GREY = 150
"""Of the picture behind decisions, so that every decided pixel is lighter."""


def write_scores(path: Path, values: NDArray[Any], scale: ColourScale, title: str) -> None:
    """Write scores (H, W) from ``shrink`` in colours with a colour bar; NaN is white."""
    picture = enlarge(colour_scores(scale.shade(values)))
    info = PngInfo()
    kind = "logarithmic" if scale.log else "linear"
    info.add_text("Limits", f"{scale.low!r} (dark blue) to {scale.high!r} (yellow), {kind}")
    with_colour_bar(picture, scale, title).save(path, "PNG", pnginfo=info)


def write_colours(path: Path, values: NDArray[Any]) -> None:
    """Write three bands (H, W, 3) as red, green and blue.

    Bytes are colours already; of other numbers each band goes from its percentile 2 to 98, and
    pixels that are not finite are grey.
    """
    step = _step(values.shape)
    small = np.asarray(values[::step, ::step])
    if small.dtype != np.uint8:
        small = stretched_colours(small)
    Image.fromarray(enlarge(small)).save(path, "PNG")


def write_decisions(path: Path, one: Map, grey: NDArray[np.uint8]) -> None:
    """Write decided pixels, in light orange, over a picture from ``grey_of``.

    Pixels that could not be assessed are white.
    """
    dark = (grey.astype(np.uint16) * LIGHTEST_GREY // 255).astype(np.uint8)
    picture = np.repeat(dark[..., None], 3, axis=2)
    decided = shrink(one.bands[..., 0]) > 0
    if one.unjudged is not None:
        judged = shrink(~one.unjudged) > 0
        picture[~judged] = MISSING
    picture[decided] = DECIDED
    Image.fromarray(enlarge(picture)).save(path, "PNG")


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
    low, high = percentiles(mean, GREY_LIMITS, SAMPLE) or (0.0, 0.0)
    shade = ColourScale(low, high).shade(mean)
    grey: NDArray[np.uint8] = np.rint(np.nan_to_num(shade) * 255).astype(np.uint8)
    return grey


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


def enlarge(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small picture with each pixel as a square of several."""
    times = max(1, MIN_SIDE // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _step(size: tuple[int, ...]) -> int:
    return -(-max(size[:2]) // MAX_SIDE)
