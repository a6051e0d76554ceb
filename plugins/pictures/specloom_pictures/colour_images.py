"""A cube as a picture in false colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIMARIES = (650.0, 550.0, 470.0)
"""The wavelengths in nm that red, green and blue show, where the cube has visible light."""

TOLERANCE = 20.0
"""How far, in nm, the first and the last band may be from blue and red."""

PERCENTILES = (2.0, 98.0)
"""Of each band, what is black and what is as bright as it can be."""

MISSING = 128
"""The grey of pixels that are not finite."""


def false_colour(values: Any, wavelengths: Any = None, max_side: int = 0) -> NDArray[np.uint8]:
    """Three bands of a cube as a picture, uint8 (h, w, 3).

    Where the bands reach from blue to red they are those nearest to 650, 550 and 470 nm, else
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
    return stretched_colours(np.asarray(values[::step, ::step][..., chosen]))


def stretched_colours(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Three bands as red, green and blue, uint8 (H, W, 3), each between two percentiles.

    Args:
        values: (H, W, 3).
    """
    planes = values.astype(np.float32)
    return np.stack([_stretched(planes[..., band]) for band in range(3)], axis=-1)


def colour_bands(count: int, wavelengths: Any = None) -> list[int]:
    """The bands shown as red, green and blue: of visible light where the cube has it.

    Args:
        count: The number of bands.
        wavelengths: Band centres in nm, (C,); None where they are not known.

    >>> colour_bands(6), colour_bands(1), colour_bands(3, [470, 550, 650])
    ([5, 3, 1], [0, 0, 0], [2, 1, 0])
    """
    # The middles of the last, the middle and the first third of the bands.
    spread = [(2 * third + 1) * count // 6 for third in (2, 1, 0)]
    if wavelengths is None or len(wavelengths) != count or not np.isfinite(wavelengths).all():
        return spread
    centres = np.asarray(wavelengths, np.float64)
    red, _green, blue = PRIMARIES
    if centres.min() <= blue + TOLERANCE and centres.max() >= red - TOLERANCE:
        return [int(np.abs(centres - primary).argmin()) for primary in PRIMARIES]
    order = np.argsort(centres, kind="stable")
    return [int(order[place]) for place in spread]


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
