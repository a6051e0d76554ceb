"""Wavelengths as a camera gives them, and the band nearest to one that is wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from specloom import DataError


def band_centres(wavelengths: Tensor | Sequence[float], bands: int | None = None) -> list[float]:
    """The band centres in nm as plain numbers, in the camera's order.

    They are rounded to 0.001 nm: float32 holds no more, 648.5 reads better than 648.4999756, and
    a band at the end of a window stays within it.

    Args:
        wavelengths: One number a band; a tensor lies in the host's memory.
        bands: How many bands the cube has.

    Raises:
        DataError: They are not one positive number a band, or are micrometres.
    """
    if isinstance(wavelengths, Tensor):
        wavelengths = wavelengths.tolist()
    centres = [round(float(centre), 3) for centre in wavelengths]
    if bands is not None and len(centres) != bands:
        raise DataError(
            f"there are {len(centres)} wavelengths for {bands} bands",
            fix="set one band centre for each band of the cube",
        )
    if not centres or not all(map(_is_positive, centres)):
        raise DataError(
            "some wavelengths are not positive numbers", fix="set every band's centre in nm"
        )
    if max(centres) < 10:
        raise DataError(
            f"the wavelengths, {min(centres):g} to {max(centres):g}, are micrometres, not "
            "nanometres",
            fix="multiply the wavelengths by 1000 where the data are read",
        )
    return centres


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def nearest(centres: Sequence[float], target: float) -> int:
    """The band whose centre is nearest to ``target``; the first one of several.

    >>> nearest([400, 500, 600], 555)
    2
    """
    return min(range(len(centres)), key=lambda band: abs(centres[band] - target))
