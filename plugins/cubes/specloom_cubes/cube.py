"""A cube in a file: what its header says, and its pixels when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from specloom import ConfigError, DataError
from specloom_cubes.processing.options import (
    BandOptions,
    CalibrationOptions,
    calibration_of,
    selection_of,
)
from specloom_cubes.rules.single_precision import needs_check, refuse_lost_differences

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import DataArray

Pixels: TypeAlias = NDArray[Any]
Load: TypeAlias = Callable[[slice, slice], Pixels]
"""Rows and columns to the stored pixels (h, w, C), maybe a view of the file."""

Valid: TypeAlias = Callable[[slice, slice], NDArray[np.bool_]]
"""Rows and columns to which pixels count, (h, w)."""

ALL = slice(None)
SAMPLE_ROWS = 16
SAMPLE_BYTES = 1 << 24
"""Rows, and bytes as float64, of each of the parts by which the precision is checked."""

Axes: TypeAlias = Literal["HWC", "CHW", "HCW", "WHC", "CWH", "WCH"]
Scale: TypeAlias = Literal["physical", "stored"]
RawCalibration: TypeAlias = CalibrationOptions | str
"""``capture``, or the fields of ``Calibration``."""

WantedBands: TypeAlias = BandOptions
"""The fields of ``BandSelection``."""


def valid_in_all(parts: Sequence[Valid]) -> Valid | None:
    """The pixels that are valid by all parts; None where there is no part."""
    if not parts:
        return None

    def valid(rows: slice, cols: slice) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.logical_and.reduce([part(rows, cols) for part in parts])
        return found

    return valid


class ReadParameters(Protocol):
    """The parameters of a source that say how its files are to be read."""

    axes: Axes | None
    shape: tuple[int, int] | None
    scale: Scale
    calibration: RawCalibration | None
    bands: WantedBands | None
    binning: tuple[int, int] | None
    wavelengths: str | None


@dataclass(frozen=True)
class Reading:
    """How a user wants a file to be read, where it can be read in several ways.

    Args:
        axes: The order of the axes as stored: H rows, W columns, C bands; None: by what the file
            says.
        shape: Rows and columns of a matrix of pixels.
        scale: ``physical``: scale and offset that the file states are applied; ``stored``: they
            are not.
        calibration: How raw counts become reflectance: ``capture``, or the fields of
            ``Calibration``; None for values as they are.
        bands: Which bands, and on which grid: the fields of ``BandSelection``.
        binning: Rows and columns that become one pixel.
        wavelengths: A table of band centres, used instead of those in the file where a
            calibration or bands are stated.
    """

    axes: Axes | None = None
    shape: tuple[int, int] | None = None
    scale: Scale = "physical"
    calibration: RawCalibration | None = None
    bands: WantedBands | None = None
    binning: tuple[int, int] | None = None
    wavelengths: str | None = None

    @classmethod
    def of_source(cls, source: ReadParameters) -> Reading:
        """How the files of a source are to be read, by its parameters."""
        table = None
        if source.calibration or source.bands:  # which need the centres of the stored bands
            table = source.wavelengths
        return cls(
            source.axes,
            source.shape,
            source.scale,
            source.calibration,
            source.bands,
            source.binning,
            table,
        )

    def __post_init__(self) -> None:
        calibration_of(self.calibration)
        selection_of(self.bands)
        self._check_binning()
        if self.axes not in (None, *AXES):
            raise ConfigError(f"axes is {self.axes!r}", fix=f"use one of: {', '.join(AXES)}")
        if self.scale not in SCALES:
            raise ConfigError(f"scale is {self.scale!r}", fix=f"use one of: {', '.join(SCALES)}")
        if self.shape is None:
            return
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ConfigError(
                f"shape is {list(self.shape)}", fix="write shape: [rows, columns], 1 or more each"
            )
        # A ticket that went through JSON has a list.
        object.__setattr__(self, "shape", tuple(self.shape))

    def _check_binning(self) -> None:
        if self.binning is None:
            return
        if not _are_counts(self.binning):
            shown: Any = self.binning
            if isinstance(shown, tuple):
                shown = list(shown)
            raise ConfigError(
                f"binning is {shown}", fix="write binning: [rows, columns], 1 or more each"
            )
        object.__setattr__(self, "binning", tuple(self.binning))

    @classmethod
    def of_options(cls, options: Mapping[str, Any], scale: Scale) -> Reading:
        """How cubes are read that a pipeline gets, which was fitted on cubes read like this.

        Args:
            options: What the source of the fit gave as its ``read_options``.
            scale: The scale, whatever they say of it.
        """
        stated = {name: options[name] for name in PROCESSING if name in options}
        return cls(scale=scale, **stated)

    def processing(self) -> dict[str, Any]:
        """What is stated of calibration, bands and bins, as plain values."""
        stated = {name: getattr(self, name) for name in PROCESSING}
        found = {name: value for name, value in stated.items() if value is not None}
        if "binning" in found:
            found["binning"] = list(found["binning"])
        return found


PROCESSING = ("calibration", "bands", "binning")
"""What a reading states of how the values of a cube are changed."""


def refuse_axes(reading: Reading, where: str, reason: str) -> None:
    """Refuse ``axes`` and ``shape`` for a file that states them itself.

    Raises:
        DataError: The user states one.
    """
    for name in ("axes", "shape"):
        value = getattr(reading, name)
        if value is not None:
            raise DataError(
                f"{where}: {reason} rows, columns and bands, so {name} has no effect",
                fix=f"remove {name}",
            )


AXES = get_args(Axes)
SCALES = get_args(Scale)
AS_STATED = Reading()
"""A file as it states itself, in physical values."""


def _are_counts(pair: Any) -> bool:
    """Whether a value is a pair of whole numbers, 1 or more each."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    return all(isinstance(one, int) and one >= 1 for one in pair)


@dataclass(frozen=True, eq=False, repr=False)
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
        wavelengths_from: Where in the file the band centres were read.
        assumptions: What the reader assumed, a sentence each, with the way to state it.
        gains: Physical values are stored * gain + offset: float64 (C,), or None.
        offsets: The offsets, float64 (C,), or None.
        scale_from: Where in the file gains and offsets were read.
        valid: The file's own mask of valid pixels, or None.
        valid_from: Where in the file that mask is.
        reading: How the user wants it read.
        check: What a user should know of a cube that is computed, such as a calibrated one; it
            may read other files, such as references.
        dark: The lines of its dark reference, read as the cube is; None where they are not wanted.
        unbinned: The cube of which this one has blocks of pixels averaged; masks have its size.
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
    wavelengths_from: str = ""
    assumptions: tuple[str, ...] = ()
    gains: NDArray[np.float64] | None = field(default=None, repr=False)
    offsets: NDArray[np.float64] | None = field(default=None, repr=False)
    scale_from: str = ""
    valid: Valid | None = field(default=None, repr=False)
    valid_from: str = ""
    reading: Reading = AS_STATED
    check: Callable[[], list[str]] | None = field(default=None, repr=False)
    unbinned: Cube | None = field(default=None, repr=False)
    dark: Cube | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        height, width, _ = self.shape
        parts = [f"{height} x {width} pixels", f"{len(self.good_bands)} bands"]
        centres = self.good_wavelengths
        if centres is not None and len(centres):
            parts.append(f"{centres[0]:.6g} to {centres[-1]:.6g} nm")
        parts += [one for one in (str(self.dtype), self.format) if one]
        return f"Cube({self.path.name!r}: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        """The cube in false colours with its mean spectrum, for notebooks."""
        from specloom_cubes.showing import cube_html

        return cube_html(self)

    def to_xarray(self) -> DataArray:
        """The clean pixels as an ``xarray.DataArray`` with dimensions y, x and band.

        It has the band centres as the coordinate ``wavelength`` in nm, and rows and columns, or
        places on the map where the file states them, as ``y`` and ``x``. NaN is no data.

        Raises:
            UnavailableError: xarray is not installed.
        """
        from specloom_cubes.showing import as_data_array

        return as_data_array(self)

    def show(self) -> Figure:
        """The cube in false colours beside its mean spectrum, as a figure of matplotlib.

        Raises:
            UnavailableError: matplotlib, or the plugin ``pictures``, is not installed.
        """
        from specloom_cubes.showing import cube_figure

        return cube_figure(self)

    def read(self, rows: slice = ALL, cols: slice = ALL) -> Pixels:
        """Stored pixels (h, w, C) of all bands in ``dtype``, a view of the file if possible."""
        return self.load(rows, cols).astype(self.dtype, copy=False)

    @property
    def array(self) -> Pixels:
        """All stored pixels, (H, W, C)."""
        return self.read()

    @property
    def with_masks(self) -> Cube:
        """The cube that has the size of masks: this one, or that of which it has bins."""
        return self if self.unbinned is None else self.unbinned

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

    @property
    def is_scaled(self) -> bool:
        """Whether pixels are given as physical values, which differ from those stored."""
        stated = self.gains is not None or self.offsets is not None
        return stated and self.reading.scale == "physical"

    def clean(self, rows: slice = ALL, cols: slice = ALL) -> Pixels:
        """Pixels of the good bands, "no data" as NaN; physical values where the file has a scale.

        The element type follows from the header alone: with a scale or an ignore value integers
        come as float32, whether or not the value occurs; all else comes as it is stored. A scale
        is applied in float64.

        Raises:
            DataError: The values differ by so little, for their size, that float32 loses it.
        """
        if self._precision_error is not None:
            raise self._precision_error
        stored = self.read(rows, cols)
        if self.bad_bands is not None and self.bad_bands.any():
            stored = stored[..., self.good_bands]
        if not self.is_scaled and self.ignore_value is None:
            return stored
        pixels = stored.astype(self._clean_dtype)
        if self.is_scaled:
            with np.errstate(over="ignore", invalid="ignore"):  # too large values become infinite
                pixels = self._physical(stored).astype(self._clean_dtype)
        if self.ignore_value is not None:
            pixels[equals(stored, self.ignore_value)] = np.nan
        return pixels

    @cached_property
    def _precision_error(self) -> DataError | None:
        """Why float32 cannot hold the values, from rows at the top, in the middle and at the end.

        It is the same whatever part is read, so that tiles and whole scenes agree.
        """
        has_offsets = self.is_scaled and self.offsets is not None
        if not needs_check(self.dtype, has_offsets):
            return None
        height, width, bands = self.shape
        rows = max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // (8 * width * bands)))
        parts = []
        for first in sorted({0, max(0, (height - rows) // 2), max(0, height - rows)}):
            stored = self.read(slice(first, first + rows))[..., self.good_bands]
            with np.errstate(over="ignore", invalid="ignore"):
                pixels = self._physical(stored)
            if self.ignore_value is not None:
                pixels[equals(stored, self.ignore_value)] = np.nan
            parts.append(pixels.reshape(-1, pixels.shape[2]))
        try:
            refuse_lost_differences(np.concatenate(parts), str(self.path))
        except DataError as error:
            return error
        return None

    @property
    def _clean_dtype(self) -> np.dtype[Any]:
        """The element type of clean pixels that are scaled or have no data."""
        if self.dtype.kind in "iu":
            return np.dtype(np.float32)
        return self.dtype

    def _physical(self, stored: Pixels) -> Pixels:
        """Pixels of the good bands times their gain plus their offset, float64."""
        pixels = stored.astype(np.float64)
        if not self.is_scaled:
            return pixels
        if self.gains is not None:
            pixels *= self.gains[self.good_bands]
        if self.offsets is not None:
            pixels += self.offsets[self.good_bands]
        return pixels


def can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Whether numbers of a type can be a value, after rounding to their precision."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return not np.isfinite(value) or bool(np.isfinite(dtype.type(value)))
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return float(value).is_integer() and bool(limits.min <= value <= limits.max)


def equals(pixels: Pixels, value: float) -> NDArray[np.bool_]:
    """Where ``pixels`` hold ``value``, compared in their own type: as text, -1.23e34 is float64."""
    if not can_hold(pixels.dtype, value):
        return np.zeros(pixels.shape, bool)
    if pixels.dtype.kind in "iu":
        value = int(value)
    equal: NDArray[np.bool_] = np.equal(pixels, pixels.dtype.type(value))
    return equal
