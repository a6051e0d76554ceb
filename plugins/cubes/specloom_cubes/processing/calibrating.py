"""A cube of raw counts as a cube of reflectance, computed when it is read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom import DataError
from specloom_cubes.paths import expand
from specloom_cubes.processing.captures import find_references
from specloom_cubes.processing.coefficients import (
    Coefficients,
    Exposures,
    coefficients,
    reflectance,
    unusable_note,
)
from specloom_cubes.processing.hyspex import Background, is_hyspex, read_background
from specloom_cubes.processing.references import (
    BLOCK_BYTES,
    Reference,
    average_lines,
    exposure_of,
    saturation_level,
    stored_counts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube, Valid
    from specloom_cubes.processing.options import Calibration
    from specloom_cubes.spectra import Spectra

PERCENT = 2.0
"""Reflectances of a panel above this are no shares."""

HYSPEX_FIELD = "the binary header"


class Readers(NamedTuple):
    """What opens the files of a calibration.

    Args:
        cube: Opens a cube in stored counts.
        spectra: Reads a table of spectra.
        grid: Reads band centres, and widths or None, in nm from a table or the header of a cube.
    """

    cube: Callable[[Path], Cube]
    spectra: Callable[[Path], Spectra]
    grid: Callable[[Path], tuple[NDArray[np.float64], NDArray[np.float64] | None]]


class CalibratedCube:
    """The reflectance of a cube of raw counts.

    Args:
        raw: The cube, in stored counts.
        options: How it is calibrated.
        readers: What opens the references.

    Raises:
        DataError: A reference is absent, or does not have the columns and bands of the cube.
    """

    def __init__(self, raw: Cube, options: Calibration, readers: Readers) -> None:
        self.raw = raw
        self.options = options
        self.readers = readers
        self._open_references()
        self.level, self.level_from = saturation_level(raw, options.saturation)
        self._panel = panel_reflectance(options.panel, raw, readers)

    def cube(self) -> Cube:
        """The cube of reflectance, float32, whose pixels are computed when they are read."""
        return replace(
            self.raw,
            dtype=np.dtype(np.float32),
            load=self.load,
            ignore_value=None,
            gains=None,
            offsets=None,
            scale_from="",
            valid=self._valid_pixels(),
            valid_from=self._valid_from(),
            check=self.notes,
        )

    def dark_cube(self) -> Cube:
        """The lines of the dark reference in the unit of the cube, and not clipped.

        Raises:
            DataError: Only the mean of the dark is there, in the cube's own file.
        """
        dark = self.dark
        if dark is None:
            raise DataError(
                f"{self.raw.path} has the mean of its dark and no frames of it",
                fix="name a file of dark frames: calibration: {dark: FILE}, or remove dark_frames",
            )
        return replace(
            self.raw,
            path=dark.path,
            shape=dark.shape,
            dtype=np.dtype(np.float32),
            load=partial(self._reflectance, dark, None),
            ignore_value=None,
            gains=None,
            offsets=None,
            scale_from="",
            valid=None,
            valid_from="",
        )

    def load(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The reflectance of some rows and columns, float32 (h, w, C)."""
        return self._reflectance(self.raw, self.options.clip, rows, columns)

    def _reflectance(
        self, cube: Cube, clip: float | None, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """The reflectance of some rows and columns of a cube of counts."""
        found = self.coefficients
        height, width, bands = cube.shape
        start, stop, _ = rows.indices(height)
        of_columns = slice(None) if len(found.dark) == 1 else columns
        dark = found.dark[of_columns]
        gain = found.gain[of_columns]
        result = np.empty((max(stop - start, 0), len(range(width)[columns]), bands), np.float32)
        step = max(1, BLOCK_BYTES // (8 * max(result.shape[1], 1) * bands))
        for first in range(start, stop, step):
            part = slice(first, min(first + step, stop))
            counts = stored_counts(cube, part, columns)
            values = reflectance(counts, dark, gain, clip)
            result[first - start : part.stop - start] = values
        return result

    def notes(self) -> list[str]:
        """What a user should know of the calibration, from the references."""
        errors = [*self._exposure_notes(), *self._white_dark_notes()]
        bands = self.raw.shape[2]
        unusable = unusable_note(self.coefficients.unusable, bands)
        if unusable:
            what = f"{self.raw.path}: {unusable}"
            errors.append(
                DataError(what, fix="exclude these bands, or take the white reference again")
            )
        saturated = self._white.saturated
        if saturated:
            what = (
                f"{self.white.path}: {saturated} values of the white reference are saturated "
                f"({self.level_from}) and excluded"
            )
            errors.append(DataError(what, fix="take it again at a shorter exposure"))
        return [str(error) for error in errors]

    @cached_property
    def coefficients(self) -> Coefficients:
        """Dark and gain by column and band."""
        white = self._white.counts
        dark = self._dark
        white_dark = self._white_dark
        if not self.options.per_column:
            white = _mean_of_columns(white)
            dark = _mean_of_columns(dark)
            if white_dark is not None:
                white_dark = _mean_of_columns(white_dark)
        return coefficients(
            white,
            dark,
            self._panel,
            white_dark=white_dark,
            exposures=self.exposures,
            dark_kind=self.options.dark_kind or "offset",
            least=self.options.least,
        )

    @cached_property
    def exposures(self) -> Exposures:
        """The exposure times that are stated, or that the headers state in the same field."""
        stated = self.options.exposures
        of_raw = self._exposure_of(self.raw)
        of_white = self._exposure_of(self.white)
        of_dark = of_raw if self.dark is None else self._exposure_of(self.dark)
        found = {}
        for name, one in (("raw", of_raw), ("white", of_white), ("dark", of_dark)):
            if name in stated:
                found[name] = float(stated[name])
            elif not stated and one is not None and of_raw is not None and one[0] == of_raw[0]:
                found[name] = one[1]
        return Exposures(**found)

    def _exposure_of(self, cube: Cube) -> tuple[str, float] | None:
        if is_hyspex(cube.path):
            background = read_background(cube.path)
            if background is None or not background.exposure:
                return None
            return HYSPEX_FIELD, background.exposure
        return exposure_of(cube.metadata)

    def _exposure_notes(self) -> Iterator[DataError]:
        """That exposure times are not known, or that a dark of another exposure is used."""
        found = self.exposures
        if None in (found.raw, found.white, found.dark):
            yield DataError(
                f"{self.raw.path}: the exposure times of the cube and its references are not all "
                "known: those that are not are taken as equal",
                fix="where they differ, write exposures: {raw: 4.0, white: 2.0, dark: 4.0}",
            )
            return
        dark = found.dark
        others = {found.raw}
        if self.options.white_dark is None and self.dark is not None:
            others.add(found.white)
        if self.options.dark_kind is None and others != {dark}:
            yield DataError(
                f"{self.raw.path}: the dark was taken at exposure {dark:g}, the cube at "
                f"{found.raw:g} and the white reference at {found.white:g}: it is used as it is",
                fix="name a dark of the white reference's exposure as white_dark, or write "
                "dark_kind: current where the dark is proportional to the exposure, offset where "
                "it does not depend on it",
            )

    def _white_dark_notes(self) -> Iterator[DataError]:
        """That the dark of the white reference was taken at another exposure than that."""
        white = self.exposures.white
        dark = self._white_dark_exposure()
        if white is None or dark is None or dark == white:
            return
        yield DataError(
            f"{self.raw.path}: white_dark was taken at exposure {dark:g}, the white reference at "
            f"{white:g}: it is used as it is",
            fix="name a dark of the white reference's exposure, or leave white_dark out",
        )

    def _white_dark_exposure(self) -> float | None:
        """The exposure of ``white_dark``, stated or in the field of the white reference."""
        stated = self.options.exposures
        if "white_dark" in stated:
            return float(stated["white_dark"])
        if stated or self.white_dark is None:
            return None
        of_white = self._exposure_of(self.white)
        of_dark = self._exposure_of(self.white_dark)
        if of_white is None or of_dark is None or of_white[0] != of_dark[0]:
            return None
        return of_dark[1]

    def _open_references(self) -> None:
        """Open the references, of which only the headers are read here."""
        options = self.options
        white = options.white
        dark = options.dark
        wanted = []
        if white is None:
            wanted.append("white")
        if dark is None and not is_hyspex(self.raw.path):
            wanted.append("dark")
        if wanted:
            found = find_references(self.raw.path, wanted)
            if "white" in wanted:
                white = str(found.white)
            if "dark" in wanted:
                dark = str(found.dark)
        assert white is not None, "it was found where it was not named"
        self.white = self._open("white", white)
        self.dark = None if dark is None else self._open("dark", dark)
        self.white_dark = None
        if options.white_dark is not None:
            self.white_dark = self._open("white_dark", options.white_dark)
        if self.dark is None and read_background(self.raw.path) is None:
            raise DataError(
                f"{self.raw.path} has no dark in its binary header",
                fix="name the file of one: calibration: {dark: FILE}",
            )

    def _open(self, name: str, path: str) -> Cube:
        """Open a reference, which has the columns and bands of the cube."""
        opened = self.readers.cube(expand(path))
        if opened.shape[1:] != self.raw.shape[1:]:
            _, width, bands = opened.shape
            _, raw_width, raw_bands = self.raw.shape
            raise DataError(
                f"the {name} reference {opened.path} has {width} columns x {bands} bands, "
                f"{self.raw.path} has {raw_width} x {raw_bands}",
                fix="use the references of this capture, with the same binning",
            )
        return opened

    @cached_property
    def _white(self) -> Reference:
        level = saturation_level(self.white, self.options.saturation)[0]
        return _averaged(self.white, self.options.average, level)

    @cached_property
    def _dark(self) -> NDArray[np.float64]:
        if self.dark is None:
            return _background(self.raw.path).counts
        return _averaged(self.dark, self.options.average, None).counts

    @cached_property
    def _white_dark(self) -> NDArray[np.float64] | None:
        """The dark at the exposure of the white reference, where there is another one."""
        if self.white_dark is not None:
            return _averaged(self.white_dark, self.options.average, None).counts
        if self.dark is None and is_hyspex(self.white.path):
            found = read_background(self.white.path)
            if found is not None:
                return found.counts
        return None

    def _valid_pixels(self) -> Valid | None:
        """Which pixels are not saturated in a band that is used, (h, w)."""
        stated = self.raw.valid
        level = self.level
        if level is None:
            return stated
        bands = self.raw.good_bands

        def valid(rows: slice, columns: slice) -> NDArray[np.bool_]:
            counts = self.raw.read(rows, columns)
            is_high = np.asarray(counts[..., bands] >= level[bands], bool)
            saturated: NDArray[np.bool_] = np.any(is_high, axis=-1)
            if stated is None:
                return ~saturated
            return stated(rows, columns) & ~saturated

        return valid

    def _valid_from(self) -> str:
        sources = [self.raw.valid_from]
        if self.level is not None:
            least = self.level.min()
            sources.append(f"saturation at {least:g} ({self.level_from})")
        return " and ".join(one for one in sources if one)


def panel_reflectance(
    panel: str | float, raw: Cube, readers: Readers
) -> NDArray[np.float64] | float:
    """The reflectance of the white panel: a number, or on the bands of a cube, (C,).

    Raises:
        DataError: The table has several spectra, or percentages, or does not cover the bands.
    """
    if not isinstance(panel, str):
        return float(panel)
    spectra = readers.spectra(expand(panel))
    if len(spectra.names) != 1 or spectra.wavelengths is None:
        raise DataError(
            f"the panel {panel} has {len(spectra.names)} spectra",
            fix="give a table with a column wavelength_nm and one of reflectance",
        )
    if raw.wavelengths is None:
        raise DataError(
            f"the panel {panel} is a spectrum, and the wavelengths of {raw.path} are not known",
            fix="write wavelengths: bands.csv, or the panel as a number",
        )
    values = spectra.values[0]
    if not np.isfinite(values).all() or values.max() > PERCENT or values.min() <= 0:
        raise DataError(
            f"the panel {panel} has values of {values.min():g} to {values.max():g}",
            fix="give its reflectance as a share, such as 0.99",
        )
    order = np.argsort(spectra.wavelengths, kind="stable")
    grid = spectra.wavelengths[order]
    outside = (raw.wavelengths < grid[0]) | (raw.wavelengths > grid[-1])
    if raw.bad_bands is not None:
        outside &= ~raw.bad_bands
    if outside.any():
        raise DataError(
            f"the panel {panel} has {grid[0]:g} to {grid[-1]:g} nm, {raw.path} has "
            f"{raw.wavelengths.min():g} to {raw.wavelengths.max():g} nm",
            fix="give a spectrum that covers all bands, or the panel as a number",
        )
    found: NDArray[np.float64] = np.interp(raw.wavelengths, grid, values[order])
    return found


def _mean_of_columns(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the finite values of each band, (1, C)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a band without any is NaN
        mean: NDArray[np.float64] = np.nanmean(counts, axis=0, keepdims=True)
    return mean


def _averaged(cube: Cube, average: Any, level: NDArray[np.float64] | None) -> Reference:
    """A reference averaged over its lines; the last few are stored, for cubes that share them."""
    return _cached(_Opened(cube), average, None if level is None else tuple(level.tolist()))


class _Opened:
    """A cube, equal to another one of the same file in the same state."""

    def __init__(self, cube: Cube) -> None:
        self.cube = cube
        state = cube.path.stat()
        self.key = (str(cube.path), cube.variable, state.st_mtime_ns, state.st_size)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opened) and self.key == other.key


@lru_cache(maxsize=8)
def _cached(opened: _Opened, average: Any, level: tuple[float, ...] | None) -> Reference:
    levels = None if level is None else np.array(level)
    return average_lines(opened.cube, average, levels)


def _background(path: Path) -> Background:
    found = read_background(path)
    assert found is not None, "a cube without one was refused when it was opened"
    return found
