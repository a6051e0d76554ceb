"""Pictures of some images of a stage: colours, scores, decisions and ground truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from specloom_pictures import ColourScale

MAX_IMAGES = 20
MAX_CELLS = 2_500_000
"""Pixels of the pictures of all images together."""

EXCLUDED = 4  # other classes are predicted + 2 * anomalous

Levels = NDArray[np.uint8]


def thumbnail_step(height: int, width: int, images: int, multiple: int = 1) -> int:
    """Return how many pixels of an image one pixel of its picture stands for, along a side.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        images: How many images are shown.
        multiple: The step is a multiple of it.

    >>> thumbnail_step(400, 250, 20), thumbnail_step(400, 250, 1), thumbnail_step(2000, 2000, 1)
    (2, 1, 2)
    """
    side = math.sqrt(MAX_CELLS / max(images, 1))
    step = max(1, math.ceil(max(height, width) / side))
    return -(-step // multiple) * multiple


def stretch(values: NDArray[Any], percentiles: tuple[float, float]) -> Levels:
    """Return levels from 0 to 255 of (H, W, K), each channel between two percentiles; 0 for NaN.

    A channel that does not vary gets 128.
    """
    levels = np.zeros(values.shape, np.uint8)
    for channel in range(values.shape[-1]):
        plane = values[..., channel].astype(np.float64)
        finite = np.isfinite(plane)
        if not finite.any():
            continue
        low, high = np.percentile(plane[finite], percentiles)
        relative = np.full(plane.shape, 0.5)
        if high > low:
            relative = (plane - low) / (high - low)
        relative = np.where(finite, relative, 0.0)
        levels[..., channel] = (relative.clip(0, 1) * 255).round()
    return levels


def pool(values: NDArray[Any], reduce: Any, step: int) -> NDArray[Any]:
    """Return (H, W) in the size of its picture, each cell ``reduce`` (a ufunc) of its pixels."""
    if step == 1:
        return values
    padding = [(0, -length % step) for length in values.shape]
    padded = np.pad(values, padding, "edge")
    pooled = padded[::step, ::step].copy()
    for cell in range(1, step**2):
        row, column = divmod(cell, step)
        reduce(pooled, padded[row::step, column::step], out=pooled)
    return pooled


def pool_kinds(
    predicted: NDArray[Any], anomalous: NDArray[Any], used: NDArray[Any], step: int
) -> Levels:
    """Return the class of each cell: predicted + 2 * anomalous, or ``EXCLUDED``.

    A cell of several pixels is anomalous, or predicted as such, where one of them is.
    """
    some_predicted = pool(predicted & used, np.logical_or, step).astype(np.uint8)
    some_anomalous = pool(anomalous & used, np.logical_or, step)
    some_used = pool(used, np.logical_or, step)
    return np.where(some_used, some_predicted + 2 * some_anomalous, EXCLUDED).astype(np.uint8)


def pool_scores(scores: NDArray[Any], used: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the highest score of each cell; NaN where none of its pixels is used."""
    pooled = pool(np.where(used, scores, -np.inf), np.maximum, step)
    is_used = pool(used, np.logical_or, step)
    return np.where(is_used, pooled, np.nan).astype(np.float32)


class Thumbnail(NamedTuple):
    """The pictures of one image, (H, W) or (H, W, 3).

    Args:
        step: How many pixels of the image one pixel stands for, along a side.
        kinds: The class of each pixel, see ``pool_kinds``.
        scores: The scores; None without.
        colours: False colour, each channel stretched; None without a cube.
    """

    step: int
    kinds: Levels
    scores: NDArray[Any] | None
    colours: Levels | None

    def as_arrays(self, scale: ColourScale | None) -> dict[str, Levels]:
        """Return the pictures as bytes, scores by the scale of all images."""
        arrays = {"kinds": self.kinds}
        if self.scores is not None and scale is not None:
            arrays["scores"] = scale.levels(self.scores)
        if self.colours is not None:
            arrays["colours"] = self.colours
        return arrays
