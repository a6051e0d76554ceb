"""Small pictures of the first images of a stage: colours, scores, decisions and ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from specloom_report.collecting.arrays import detach, to_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SIDE = 192
MAX_IMAGES = 20
EXCLUDED = 4  # other classes are predicted + 2 * anomalous
RED = 650.0  # nm
GREEN = 550.0  # nm
BLUE = 470.0  # nm
TOLERANCE = 20.0  # nm

Levels = NDArray[np.uint8]


def colour_bands(count: int, wavelengths: Sequence[float] | None) -> list[int]:
    """Return the bands shown as red, green and blue: of visible light where the cube has it.

    >>> colour_bands(6, None), colour_bands(3, [470, 550, 650])
    ([5, 3, 1], [2, 1, 0])
    """
    # The middles of the last, the middle and the first third of the bands.
    spread = [(2 * third + 1) * count // 6 for third in (2, 1, 0)]
    if wavelengths is None or len(wavelengths) != count or not np.isfinite(wavelengths).all():
        return spread
    centres = np.asarray(wavelengths, np.float64)
    if centres.min() <= BLUE + TOLERANCE and centres.max() >= RED - TOLERANCE:
        return [int(np.abs(centres - colour).argmin()) for colour in (RED, GREEN, BLUE)]
    order = np.argsort(centres, kind="stable")
    return [int(order[place]) for place in spread]


def thumbnail_step(height: int, width: int) -> int:
    """Return how many pixels of an image one pixel of its thumbnail stands for, along a side."""
    return max(1, -(-max(height, width) // MAX_SIDE))


def sample_colours(cube: Any, count: int, bands: Sequence[int]) -> NDArray[Any]:
    """Return three bands of every few pixels of the first ``count`` images of (B, H, W, C)."""
    step = thumbnail_step(cube.shape[1], cube.shape[2])
    small = detach(cube)[:count, ::step, ::step]
    return np.stack([to_numpy(small[..., band]) for band in bands], -1)


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


def pool(values: NDArray[Any], reduce: Any) -> NDArray[Any]:
    """Return (H, W) in the size of its thumbnail, each cell ``reduce`` (a ufunc) of its pixels."""
    step = thumbnail_step(*values.shape)
    if step == 1:
        return values
    padding = [(0, -length % step) for length in values.shape]
    padded = np.pad(values, padding, "edge")
    pooled = padded[::step, ::step].copy()
    for cell in range(1, step**2):
        row, column = divmod(cell, step)
        reduce(pooled, padded[row::step, column::step], out=pooled)
    return pooled


def make_thumbnail(
    decisions: NDArray[Any],
    targets: NDArray[Any],
    scores: NDArray[Any] | None,
    valid: NDArray[Any] | None,
    colours: NDArray[Any] | None,
) -> dict[str, NDArray[Any]]:
    """Return the ``kinds`` (H, W) of one image, and where known its ``scores`` and ``colours``.

    A cell of several pixels is anomalous, or predicted as such, where one of them is.
    """
    used = np.ones(decisions.shape, bool)
    if valid is not None:
        used = valid
    if scores is not None:
        used = used & ~np.isnan(scores)
    predicted = pool(decisions & used, np.logical_or).astype(np.uint8)
    anomalous = pool(targets & used, np.logical_or)
    kinds = np.where(pool(used, np.logical_or), predicted + 2 * anomalous, EXCLUDED)
    thumbnail: dict[str, NDArray[Any]] = {"kinds": kinds.astype(np.uint8)}
    if scores is not None:
        thumbnail["scores"] = pool(np.where(used, scores, -np.inf), np.maximum)
    if colours is not None and colours.shape[:2] == kinds.shape:
        thumbnail["colours"] = colours
    return thumbnail


def as_levels(thumbnail: Mapping[str, NDArray[Any]]) -> dict[str, Levels]:
    """Return the pictures of one image as uint8."""
    levels: dict[str, Levels] = {"kinds": thumbnail["kinds"]}
    if "scores" in thumbnail:
        levels["scores"] = stretch(thumbnail["scores"][..., None], (1, 99.5))[..., 0]
    if "colours" in thumbnail:
        levels["colours"] = stretch(thumbnail["colours"], (1, 99))
    return levels
