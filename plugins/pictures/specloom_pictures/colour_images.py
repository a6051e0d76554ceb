"""A cube as a picture in false colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIMARIES = (640.0, 550.0, 460.0)
"""The wavelengths in nm that red, green and blue show, where the cube has visible light."""

VISIBLE = (400.0, 720.0)

PERCENTILES = (2.0, 98.0)
"""Of each band, what is black and what is as bright as it can be."""

MISSING = 128
"""The grey of pixels that are not finite."""


def false_colour(values: Any, wavelengths: Any = None, max_side: int = 0) -> NDArray[np.uint8]:
    """Three bands of a cube as a picture, uint8 (h, w, 3).

    Where at least three bands are visible light they are those nearest to 640, 550 and 460 nm, else
    bands at 5/6, 1/2 and 1/6 of the range.

    Args:
        values: (H, W, C).
        wavelengths: Band centres in nm, (C,).
        max_side: The longest side in pixels, of which larger cubes show every so many-th; 0 for
            all of them.

    Raises:
        DataError: The values are no cube with a band, or the centres are not those of its bands.
    """
    _check_cube(values.shape, wavelengths)
    step = 1
    if max_side:
        step = max(1, -(-max(values.shape[:2]) // max_side))
    chosen = colour_bands(values.shape[2], wavelengths)
    planes = np.asarray(values[::step, ::step][..., chosen]).astype(np.float32)
    return np.stack([_stretched(planes[..., band]) for band in range(3)], axis=-1)


def colour_bands(bands: int, wavelengths: Any = None) -> list[int]:
    """The bands that stand for red, green and blue.

    >>> colour_bands(6), colour_bands(1), colour_bands(3, [460.0, 550.0, 640.0])
    ([5, 3, 1], [0, 0, 0], [2, 1, 0])
    """
    if wavelengths is not None:
        centres = np.asarray(wavelengths, np.float64)
        visible = (centres >= VISIBLE[0]) & (centres <= VISIBLE[1])
        if visible.sum() >= 3:
            return [int(np.nanargmin(np.abs(centres - primary))) for primary in PRIMARIES]
    return [bands * 5 // 6, bands // 2, bands // 6]


def _check_cube(shape: tuple[int, ...], wavelengths: Any) -> None:
    if len(shape) != 3 or not shape[2]:
        what = f"the values have the shape {tuple(shape)}, which is no cube"
        raise DataError(what, fix="pass rows, columns and bands")
    if wavelengths is not None and len(wavelengths) != shape[2]:
        what = f"there are {len(wavelengths)} wavelengths for {shape[2]} bands"
        raise DataError(what, fix="pass one wavelength for each band, or none")


def _stretched(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A band from its lower to its upper percentile as 0 to 255."""
    finite = np.isfinite(plane)
    levels = np.full(plane.shape, MISSING, np.uint8)
    if not finite.any():
        return levels
    low, high = np.percentile(plane[finite], PERCENTILES)
    if high <= low:
        return levels
    scaled = np.clip((plane[finite] - low) / (high - low), 0, 1)
    levels[finite] = np.rint(scaled * 255).astype(np.uint8)
    return levels
