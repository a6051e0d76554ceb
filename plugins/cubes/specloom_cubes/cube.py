"""A cube in a file: what its header says, and its pixels when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]
Load: TypeAlias = Callable[[slice, slice], Pixels]
"""Rows and columns to the stored pixels (h, w, C), maybe a view of the file."""

ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Cube:
    """A cube of shape (H, W, C) whose pixels are read part by part.

    Args:
        path: The file that holds the pixels.
        shape: Rows, columns and bands, as stored.
        dtype: The element type of the pixels, in this machine's byte order.
        load: What reads them.
        variable: The array's name, where the format has names.
        format: What kind of file it is, such as ``ENVI``.
        interleave: The order of the axes in the file: ``bsq``, ``bil`` or ``bip``.
        wavelengths: Band centres in nm, float64 (C,), or None.
        fwhm: Band widths in nm, float64 (C,), or None.
        bad_bands: True for the bands that the header marks bad, bool (C,), or None.
        ignore_value: The value that stands for "no data", or None.
        metadata: Whatever else the header says (map info, reflectance scale factor, …); ``crs``
            is the coordinate system as WKT and ``transform`` its six affine numbers, as rasterio
            orders them.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    load: Load = field(repr=False)
    variable: str = ""
    format: str = ""
    interleave: str = ""
    wavelengths: NDArray[np.float64] | None = field(default=None, repr=False)
    fwhm: NDArray[np.float64] | None = field(default=None, repr=False)
    bad_bands: NDArray[np.bool_] | None = field(default=None, repr=False)
    ignore_value: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def read(self, rows: slice = ALL, cols: slice = ALL) -> Pixels:
        """Stored pixels (h, w, C) of all bands in ``dtype``, a view of the file if possible."""
        return self.load(rows, cols).astype(self.dtype, copy=False)

    @property
    def array(self) -> Pixels:
        """All stored pixels, (H, W, C)."""
        return self.read()

    @property
    def good_bands(self) -> NDArray[np.intp]:
        """The indices of the bands that are not marked bad."""
        if self.bad_bands is None:
            return np.arange(self.shape[2])
        return np.flatnonzero(~self.bad_bands)

    @property
    def good_wavelengths(self) -> NDArray[np.float64] | None:
        """The band centres in nm of the good bands."""
        if self.wavelengths is None:
            return None
        return self.wavelengths[self.good_bands]

    def good_bytes(self) -> int:
        """The size of all pixels of the good bands, as stored."""
        return self.shape[0] * self.shape[1] * len(self.good_bands) * self.dtype.itemsize

    def clean(self, rows: slice = ALL, cols: slice = ALL) -> Pixels:
        """Pixels of the good bands, "no data" as NaN.

        Without an ignore value the element type is the stored one; with one, integers come as
        float32, whether or not the value occurs, so that the type follows from the header alone.
        """
        pixels = self.read(rows, cols)
        if self.bad_bands is not None and self.bad_bands.any():
            pixels = pixels[..., self.good_bands]
        if self.ignore_value is None:
            return pixels
        missing = equals(pixels, self.ignore_value)
        dtype = np.dtype(np.float32) if pixels.dtype.kind in "iu" else pixels.dtype
        pixels = pixels.astype(dtype)
        pixels[missing] = np.nan
        return pixels


def equals(pixels: Pixels, value: float) -> NDArray[np.bool_]:
    """Where ``pixels`` hold ``value``, compared in their own type: as text, -1.23e34 is float64."""
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        if not float(value).is_integer() or not limits.min <= value <= limits.max:
            return np.zeros(pixels.shape, bool)
        value = int(value)
    equal: NDArray[np.bool_] = np.equal(pixels, pixels.dtype.type(value))
    return equal
