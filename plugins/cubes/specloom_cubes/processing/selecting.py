"""A cube with some of its bands, or on another grid of bands or pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.paths import expand
from specloom_cubes.processing.references import BLOCK_BYTES
from specloom_cubes.processing.resampling import (
    WATER_VAPOUR,
    BandMap,
    bands_within,
    bin_map,
    gaussian_map,
    response_map,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube, Valid
    from specloom_cubes.processing.calibrating import Readers
    from specloom_cubes.processing.options import BandSelection

FINER = "resample to bands that are as wide as the distance of the source's bands, or wider"
PLACES = ("map info", "crs", "transform")
"""Metadata that are not true of a coarser grid of pixels."""

NO_CENTRES = "give the band centres: wavelengths: bands.csv"


def select_bands(cube: Cube, selection: BandSelection) -> Cube:
    """The cube with the bands outside of the ranges marked as bad.

    Raises:
        DataError: No centre is known, or no band is left.
    """
    exclude = list(selection.exclude)
    if selection.water_vapour:
        exclude += WATER_VAPOUR
    if not selection.ranges and not exclude:
        return cube
    if cube.wavelengths is None:
        raise DataError(
            f"bands of {cube.path} are selected by wavelength, and it states none", fix=NO_CENTRES
        )
    bad = ~bands_within(cube.wavelengths, selection.ranges, exclude)
    if cube.bad_bands is not None:
        bad |= cube.bad_bands
    if bad.all():
        raise DataError(
            f"no band of {cube.path} is left: its good bands have "
            f"{cube.wavelengths.min():g} to {cube.wavelengths.max():g} nm",
            fix="correct ranges and exclude",
        )
    return replace(cube, bad_bands=bad)


def resampled(cube: Cube, selection: BandSelection, readers: Readers) -> Cube:
    """The cube with its good bands binned and resampled, as the selection states.

    Raises:
        DataError: The grid cannot be used, or no centre is known.
    """
    found = cube
    if selection.binning > 1:
        widths = None if found.fwhm is None else found.fwhm[found.good_bands]
        count = len(found.good_bands)
        found = mapped(found, bin_map(count, selection.binning, found.good_wavelengths, widths))
    if selection.resample is None and selection.responses is None:
        return found
    return mapped(found, _map_to(found, selection, readers))


def _map_to(cube: Cube, selection: BandSelection, readers: Readers) -> BandMap:
    source = cube.good_wavelengths
    if source is None:
        raise DataError(f"{cube.path} is resampled, and states no wavelengths", fix=NO_CENTRES)
    if selection.responses is not None:
        spectra = readers.spectra(expand(selection.responses))
        if spectra.wavelengths is None:
            raise DataError(
                f"the responses {selection.responses} state no wavelengths",
                fix="give a table with a column wavelength_nm and one for each band",
            )
        return response_map(source, spectra.wavelengths, spectra.values, spectra.names)
    assert selection.resample is not None, "one of the two is stated"
    target, widths = readers.grid(expand(selection.resample))
    return gaussian_map(source, target, widths)


def mapped(cube: Cube, bands: BandMap) -> Cube:
    """The cube with its good bands mapped to others, float32, computed when it is read."""
    matrix = bands.matrix

    def load(rows: slice, columns: slice) -> NDArray[np.float32]:
        pixels = cube.clean(rows, columns)
        result = np.empty((*pixels.shape[:2], len(matrix)), np.float32)
        step = max(1, BLOCK_BYTES // (8 * max(pixels.shape[1], 1) * pixels.shape[2]))
        for first in range(0, len(pixels), step):
            part = slice(first, first + step)
            result[part] = map_bands(pixels[part], matrix)
        return result

    return replace(
        cube,
        shape=(*cube.shape[:2], len(matrix)),
        dtype=np.dtype(np.float32),
        load=load,
        wavelengths=bands.wavelengths,
        fwhm=bands.fwhm,
        bad_bands=None,
        ignore_value=None,
        gains=None,
        offsets=None,
        scale_from="",
        check=_check_of(cube, bands),
    )


def _check_of(cube: Cube, bands: BandMap) -> Callable[[], list[str]] | None:
    """What a user should know of a cube and of a map of its bands."""
    if not bands.notes:
        return cube.check
    errors = [DataError(f"{cube.path}: {note}", fix=FINER) for note in bands.notes]

    def check() -> list[str]:
        earlier = [] if cube.check is None else cube.check()
        return [*earlier, *map(str, errors)]

    return check


def map_bands(pixels: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels (h, w, C) times the weights (K, C) of each band, float64 (h, w, K).

    Only bands with a weight count, so that a NaN elsewhere stays there. The sum over bands is that
    of each pixel alone, so that its bits do not depend on the others.
    """
    values = pixels.astype(np.float64)
    result = np.empty((*pixels.shape[:2], len(matrix)))
    for band, weights in enumerate(matrix):
        used = np.flatnonzero(weights)
        part = slice(used[0], used[-1] + 1)
        result[..., band] = (values[..., part] * weights[part]).sum(-1)
    return result


def binned(cube: Cube, rows: int, columns: int) -> Cube:
    """The cube with blocks of rows x columns averaged; what is over at its end is left out.

    A block with a NaN is NaN, and one with a pixel that is not valid is not valid.

    Raises:
        DataError: The cube is smaller than a block.
    """
    height = cube.shape[0] // rows
    width = cube.shape[1] // columns
    if not height or not width:
        raise DataError(
            f"{cube.path} has {cube.shape[0]} x {cube.shape[1]} pixels, fewer than a bin of "
            f"{rows} x {columns}",
            fix="lower binning",
        )

    def load(of_rows: slice, of_columns: slice) -> NDArray[np.float32]:
        pixels = cube.clean(_unbinned(of_rows, height, rows), _unbinned(of_columns, width, columns))
        high = pixels.shape[0] // rows
        wide = pixels.shape[1] // columns
        blocks = pixels.reshape(high, rows, wide, columns, pixels.shape[2])
        means: NDArray[np.float64] = blocks.mean((1, 3), dtype=np.float64)
        return means.astype(np.float32)

    valid = None
    if cube.valid is not None:
        valid = valid_in_bins(cube.valid, (height, width), (rows, columns))
    metadata = {name: text for name, text in cube.metadata.items() if name not in PLACES}
    return replace(
        cube,
        shape=(height, width, len(cube.good_bands)),
        dtype=np.dtype(np.float32),
        load=load,
        wavelengths=cube.good_wavelengths,
        fwhm=None if cube.fwhm is None else cube.fwhm[cube.good_bands],
        bad_bands=None,
        ignore_value=None,
        gains=None,
        offsets=None,
        scale_from="",
        valid=valid,
        metadata=metadata,
        unbinned=cube,
    )


def valid_in_bins(valid: Valid, size: tuple[int, int], block: tuple[int, int]) -> Valid:
    """Which bins are valid, from what says it of pixels.

    Args:
        valid: Which pixels are valid.
        size: Rows and columns of the bins.
        block: Rows and columns of pixels in each.
    """

    def valid_bins(rows: slice, columns: slice) -> NDArray[np.bool_]:
        found = valid(_unbinned(rows, size[0], block[0]), _unbinned(columns, size[1], block[1]))
        return bin_valid(found, *block)

    return valid_bins


def _unbinned(part: slice, size: int, factor: int) -> slice:
    """The pixels of some bins along an axis of so many bins."""
    start, stop, _ = part.indices(size)
    return slice(start * factor, max(start, stop) * factor)


def bin_labels(numbers: NDArray[np.int32], rows: int, columns: int) -> NDArray[np.int32]:
    """The class that most pixels of each block have; of equally many the lowest, -1 for none.

    Args:
        numbers: Class numbers (H, W); negative ones are unlabelled and do not count.
        rows: Rows of a block.
        columns: Columns of a block.
    """
    height = numbers.shape[0] // rows
    width = numbers.shape[1] // columns
    blocks = numbers[: height * rows, : width * columns]
    blocks = blocks.reshape(height, rows, width, columns)
    best = np.full((height, width), -1, np.int32)
    most = np.zeros((height, width), np.intp)
    for number in np.unique(numbers[numbers >= 0]):
        count = (blocks == number).sum((1, 3))
        best[count > most] = number
        np.maximum(most, count, out=most)
    return best


def bin_valid(valid: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """Whether all pixels of each block are valid."""
    height = valid.shape[0] // rows
    width = valid.shape[1] // columns
    blocks = valid[: height * rows, : width * columns].reshape(height, rows, width, columns)
    invalid: NDArray[np.bool_] = np.any(~blocks, axis=(1, 3))
    return ~invalid
