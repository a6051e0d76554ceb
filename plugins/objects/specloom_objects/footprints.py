"""Neighbourhoods of a pixel, and morphology that does not count what is not there."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import morphology

from specloom import ConfigError

Shape: TypeAlias = Literal["disk", "diamond", "square"]
Mask: TypeAlias = NDArray[np.bool_]


def square(radius: int) -> Any:
    """A square of (2 * radius + 1) x (2 * radius + 1) pixels."""
    side = 2 * radius + 1
    return np.ones((side, side), bool)


SHAPES: dict[str, Callable[[int], Any]] = {
    "disk": morphology.disk,
    "diamond": morphology.diamond,
    "square": square,
}
"""What makes each shape of a radius."""


def check_radius(radius: int) -> None:
    """Raise ConfigError unless ``radius`` is at least 1."""
    if radius < 1:
        raise ConfigError(f"radius is {radius} pixels", fix="set a radius of at least 1")


@cache
def footprint(shape: Shape, radius: int) -> Mask:
    """The neighbourhood of a pixel, bool (2 * radius + 1, 2 * radius + 1).

    Args:
        shape: ``disk`` (Euclidean distance), ``diamond`` (city-block distance) or ``square``
            (chessboard distance), as scikit-image makes them.
        radius: The largest distance, in pixels.
    """
    pixels = SHAPES[shape](radius)
    mask: Mask = pixels.astype(bool)
    return mask


def erode(mask: Mask, counted: Mask, around: Mask) -> Mask:
    """Where all counted pixels of the neighbourhood are True; outside the image none counts."""
    eroded: Mask = ndimage.binary_erosion(mask | ~counted, around, border_value=1)
    return eroded & counted


def dilate(mask: Mask, counted: Mask, around: Mask) -> Mask:
    """Where a counted pixel of the neighbourhood is True; outside the image none counts."""
    dilated: Mask = ndimage.binary_dilation(mask & counted, around, border_value=0)
    return dilated & counted


def count(mask: Mask, around: Mask) -> NDArray[np.int32]:
    """How many pixels of the neighbourhood are True, int32 (H, W)."""
    number: NDArray[Any] = ndimage.convolve(
        mask.astype(np.int32), around.astype(np.int32), mode="constant", cval=0
    )
    return number
