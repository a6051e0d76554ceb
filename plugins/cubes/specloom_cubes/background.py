"""Pixels of the background: those with one value, below a level in a band, or outside a mask."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, ConfigError, DataError, Input, Output, node
from specloom.torch import TorchNode

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SHARE = 0.05
"""Fewer equal pixels, as a share of those that count, are not warned of."""

LEAST_PIXELS = 100
"""Fewer equal pixels are not warned of."""

ROW_STEP = 4
"""Every so many-th row is looked at before all pixels are compared."""

ALARMING_PIXELS = 8
"""So many equal pixels in these rows let all pixels be compared."""

HASHED_PIXELS = 16
"""Pixels of each diagonal of an image by which it is known again."""


class EqualPixels(NamedTuple):
    """Many pixels of an image with the spectrum of one of its corners.

    Args:
        pixels: How many there are.
        counted: The pixels of the image that count.
        spectrum: The spectrum in words.
        fix: What to do.
    """

    pixels: int
    counted: int
    spectrum: str
    fix: str


def has_value(cube: Tensor, value: float) -> Tensor:
    """Where all bands of (B, H, W, C) have a value, bool (B, H, W, 1)."""
    return (cube == value).all(-1, keepdim=True)


def equal_to_corner(cube: NDArray[Any], valid: NDArray[np.bool_]) -> EqualPixels | None:
    """The first image of (B, H, W, C) in which many pixels that count equal one of its corners.

    Pixels that equal the corner in one band are few in other images, so that all bands are
    compared for few pixels.

    Args:
        cube: The images.
        valid: The pixels that count, bool (B, H, W).
    """
    for image, counted in zip(cube, valid, strict=True):
        height, width = counted.shape
        if height * width < LEAST_PIXELS:
            continue
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        if not _many_equal_first_bands(image, counted, corners):
            continue
        for corner in np.unique(corners, axis=0):
            found = _equal_to(image, counted, corner)
            if found is not None:
                return found
    return None


def may_equal_a_corner(cube: NDArray[Any]) -> bool:
    """Whether pixels of an image of (B, H, W, C) have the first band of a corner: quick.

    Rows are looked at here and there, and those of the corners; a false alarm costs time alone.
    """
    rows = [*range(0, cube.shape[1] - 1, ROW_STEP), cube.shape[1] - 1]
    for image in cube:
        first_band = image[rows, :, 0]
        for value in set(first_band[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()):
            if np.count_nonzero(first_band == value) >= ALARMING_PIXELS:
                return True
    return False


def fingerprint(cube: NDArray[Any]) -> bytes:
    """A hash of a few pixels of each image (B, H, W, C), its corners among them."""
    height, width = cube.shape[1:3]
    rows = np.linspace(0, height - 1, HASHED_PIXELS).astype(int)
    columns = np.linspace(0, width - 1, HASHED_PIXELS).astype(int)
    digest = hashlib.sha256(repr((cube.shape, cube.dtype)).encode())
    for pixels in (cube[:, rows, columns], cube[:, rows, columns[::-1]]):
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


class CornerCounts:
    """How many pixels of an image that comes in windows equal one of its corners.

    Args:
        corners: The pixels in its corners, (4, C).
    """

    def __init__(self, corners: NDArray[Any]) -> None:
        self._corners = np.unique(corners, axis=0)
        self._equal = [0] * len(self._corners)
        self._counted = 0
        self._pixels = 0

    def add(self, image: NDArray[Any], counted: NDArray[np.bool_]) -> None:
        """Add a window (h, W, C), with the pixels of it that count, bool (h, W)."""
        self._pixels += counted.size
        self._counted += int(counted.sum())
        for number, corner in enumerate(self._corners):
            alike = counted & (image[..., 0] == corner[0])
            self._equal[number] += int((image[alike] == corner).all(-1).sum())

    def found(self) -> EqualPixels | None:
        """The pixels that equal the first corner which many pixels equal."""
        if self._pixels < LEAST_PIXELS:
            return None
        for equal, corner in zip(self._equal, self._corners, strict=True):
            if equal >= _least_equal(self._counted):
                return _describe(corner, equal, self._counted)
        return None


def _many_equal_first_bands(
    image: NDArray[Any], counted: NDArray[np.bool_], corners: NDArray[Any]
) -> bool:
    """Whether many pixels that count have the first band of a corner: quick, and seldom true."""
    first_band = np.ascontiguousarray(image[..., 0])
    least = _least_equal(int(np.count_nonzero(counted)))
    for value in set(corners[:, 0].tolist()):
        is_equal = first_band == value
        if np.count_nonzero(is_equal) < least:
            continue
        if np.count_nonzero(is_equal & counted) >= least:
            return True
    return False


def _least_equal(counted: int) -> int:
    """How many of the pixels that count must be equal to be warned of."""
    return max(LEAST_PIXELS, math.ceil(LEAST_SHARE * counted))


def _equal_to(
    image: NDArray[Any], counted: NDArray[np.bool_], corner: NDArray[Any]
) -> EqualPixels | None:
    """The pixels that count of an image (H, W, C) with a spectrum (C,), where they are many."""
    alike = counted & (image[..., 0] == corner[0])
    pixels = int(alike.sum())
    total = int(counted.sum())
    least = _least_equal(total)
    if pixels < least:
        return None
    equal = (image[alike] == corner).all(-1)
    pixels = int(equal.sum())
    if pixels < least:
        return None
    return _describe(corner, pixels, total)


def _describe(corner: NDArray[Any], pixels: int, total: int) -> EqualPixels:
    """What is said of so many pixels with the spectrum (C,) of a corner."""
    first = float(corner[0])
    if (corner == corner[0]).all():
        fix = f"set background: {first:g} at the data node, or exclude them by a mask (valid)"
        return EqualPixels(pixels, total, f"{first:g} in all bands", fix)
    fix = "exclude them with a node cubes.Background, or by a mask of valid pixels"
    return EqualPixels(pixels, total, f"{first:g} in the first band", fix)


@node
class Background(TorchNode):
    """Which pixels of cubes (B, H, W, C) belong to objects, and not to the background.

    A pixel is no object where a band is NaN; it is background where all bands have ``value``, where
    its band is below ``below`` or above ``above``, or where ``inside`` is False. ``valid`` and
    ``labelled`` are those that come in, without the background. Fits, deciders, metrics and
    ``specloom predict`` read them as those of a data node.

    Args:
        value: The value that all bands of the background have; None for no such value.
        below: The level in a band below which a pixel is background; None for no such level.
        above: The level in a band above which a pixel is background; None for no such level.
        band: The band that is compared with the levels, from 0; None for the mean of all bands.
        wavelength: The same by its centre, in nm: the nearest band.

    Raises:
        ConfigError: There is no band of that number, it is named twice, or has no level.
        DataError: ``wavelength`` is set, and the data have no wavelengths.
    """

    cube = Input("B H W C", doc="Cubes.")
    valid_in = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=False,
        doc="Pixels that may be used.",
        name="valid",
    )
    labelled_in = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label.",
        name="labelled",
    )
    inside = Input(
        "B H W 1", dtype="bool", optional=True, doc="False in the background, such as a mask."
    )
    wavelengths = Input("C", unit="nm", optional=True, host=True, doc="Band centres.")
    valid = Output(
        "B H W 1",
        dtype="bool",
        doc="True where the pixel may be used and is not background.",
        unused_note="the background is not excluded",
    )
    labelled = Output(
        "B H W 1",
        dtype="bool",
        instead_of="valid",
        doc="True where it has a label too; as ``valid`` where no labels come in.",
    )
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"below": 0.1, "band": 1}

    value: float | None = None
    below: float | None = None
    above: float | None = None
    band: int | None = None
    wavelength: float | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        if self.band is not None and self.wavelength is not None:
            what = f"{self.label}: band {self.band} and wavelength {self.wavelength:g} are set"
            raise ConfigError(what, fix="remove one of them")
        if self.band is not None and not 0 <= self.band < sizes["C"]:
            what = f"{self.label}: band is {self.band}, and the data have {sizes['C']} bands"
            raise ConfigError(what, fix=f"set band to a number from 0 to {sizes['C'] - 1}")
        has_level = self.below is not None or self.above is not None
        if not has_level and (self.band is not None or self.wavelength is not None):
            what = f"{self.label}: a band is named, and no level"
            raise ConfigError(what, fix="set below or above, in the unit of the cubes")

    def forward(
        self,
        cube: Tensor,
        valid: Tensor | None = None,
        labelled: Tensor | None = None,
        inside: Tensor | None = None,
        wavelengths: Tensor | None = None,
    ) -> Batch:
        """Give the pixels that count without those of the background."""
        found = ~cube.isnan().any(-1, keepdim=True)
        if self.value is not None:
            found = found & ~has_value(cube, self.value)
        if self.below is not None or self.above is not None:
            found = found & self._within_levels(self._compared(cube, wavelengths))
        if inside is not None:
            found = found & inside
        if valid is not None:
            found = found & valid
        with_label = found
        if labelled is not None:
            with_label = found & labelled
        return {"valid": found, "labelled": with_label}

    def _compared(self, cube: Tensor, wavelengths: Tensor | None) -> Tensor:
        """What is compared with the levels, (B, H, W, 1)."""
        if self.band is not None:
            return cube[..., self.band : self.band + 1]
        if self.wavelength is None:
            return cube.mean(-1, keepdim=True)
        if wavelengths is None:
            what = f"{self.label}: wavelength is {self.wavelength:g} nm, and none are known"
            fix = "connect wavelengths of the data node, or set band instead"
            raise DataError(what, fix=fix)
        band = int((wavelengths - self.wavelength).abs().argmin())
        return cube[..., band : band + 1]

    def _within_levels(self, level: Tensor) -> Tensor:
        """Where values (B, H, W, 1) are not background, bool."""
        found = torch.ones_like(level, dtype=torch.bool)
        if self.below is not None:
            found = found & ~(level < self.below)
        if self.above is not None:
            found = found & ~(level > self.above)
        return found
