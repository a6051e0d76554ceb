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
    given = wavelengths.tolist() if isinstance(wavelengths, Tensor) else wavelengths
    centres = [round(float(centre), 3) for centre in given]
    if bands is not None and len(centres) != bands:
        fix = "give one band centre for each band of the cube"
        raise DataError(f"there are {len(centres)} wavelengths for {bands} bands", fix=fix)
    if not centres or not all(math.isfinite(centre) and centre > 0 for centre in centres):
        fix = "give every band's centre in nm"
        raise DataError("the wavelengths hold values that are no positive numbers", fix=fix)
    if max(centres) < 10:
        span = f"{min(centres):g} to {max(centres):g}"
        fix = "multiply the wavelengths by 1000 where the data are read"
        raise DataError(f"the wavelengths, {span}, are micrometres, not nanometres", fix=fix)
    return centres


def nearest(centres: Sequence[float], target: float) -> int:
    """The band whose centre is nearest to ``target``; the first one of several.

    >>> nearest([400, 500, 600], 555)
    2
    """
    return min(range(len(centres)), key=lambda band: abs(centres[band] - target))
