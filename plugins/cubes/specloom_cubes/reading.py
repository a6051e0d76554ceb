"""One function that opens any cube as the user wants it: calibrated, on the bands wanted."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.cube import AS_STATED, Reading
from specloom_cubes.cube_files import files_of_cube
from specloom_cubes.paths import expand
from specloom_cubes.processing.calibrating import CalibratedCube, Readers
from specloom_cubes.processing.captures import find_references, is_named_as_reference
from specloom_cubes.processing.hyspex import is_hyspex
from specloom_cubes.processing.options import Calibration, calibration_of, selection_of
from specloom_cubes.processing.selecting import binned, resampled, select_bands
from specloom_cubes.rules.tables import Table, read_text, readings
from specloom_cubes.rules.wavelengths import Vector, find_centres, find_widths
from specloom_cubes.spectral_files import read_spectra
from specloom_cubes.wavelengths import read_wavelengths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube
    from specloom_cubes.processing.coefficients import Coefficients

STORED = Reading(scale="stored")
"""References are read in stored counts."""


def open_cube(path: str | Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open a cube without reading its pixels.

    Args:
        path: The file; of an ENVI pair either one; of a band stack the pattern of its files.
        variable: The array to take where the file holds several (MATLAB, HDF5, NPZ).
        reading: The order of its axes, its calibration, its bands and the like, where the user
            states them.

    Raises:
        DataError: The file is absent, of an unknown kind, damaged, or holds no single cube; or its
            references or its grid of bands cannot be used.
        UnavailableError: The library that reads such files is not installed.
    """
    return processed(formats.open_cube(path, variable, reading))


def processed(cube: Cube) -> Cube:
    """A cube as its ``reading`` states: calibrated, with some bands, binned and resampled.

    Raises:
        DataError: References or the grid of bands cannot be used.
    """
    reading = cube.reading
    calibration = calibration_of(reading.calibration)
    selection = selection_of(reading.bands)
    found = cube
    if reading.wavelengths is not None and (calibration or selection):
        found = _with_wavelengths(found, reading.wavelengths)
    if calibration is None:
        return _on_grid(found, reading)
    calibrated = CalibratedCube(found, calibration, READERS)
    result = _on_grid(calibrated.cube(), reading)
    if calibration.dark_frames:
        return replace(result, dark=_on_grid(calibrated.dark_cube(), reading))
    return result


def _on_grid(cube: Cube, reading: Reading) -> Cube:
    """A cube on the bands and in the bins that ``reading`` states."""
    selection = selection_of(reading.bands)
    found = cube
    if selection is not None:
        found = select_bands(found, selection)
    if reading.binning is not None:
        found = binned(found, *reading.binning)
    if selection is not None:
        found = resampled(found, selection, READERS)
    return found


def _with_wavelengths(cube: Cube, table: str) -> Cube:
    """The cube with the band centres of a table, one for each band."""
    every_band = replace(cube, bad_bands=None)
    centres = read_wavelengths(table, every_band)
    return replace(cube, wavelengths=centres, wavelengths_from=table)


def read_grid(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The band centres in nm, and the widths or None, of a table or of a cube's good bands.

    Raises:
        DataError: It states no centres.
    """
    if formats.is_cube(path):
        cube = formats.open_cube(path)
        if cube.good_wavelengths is None:
            raise DataError(f"{path} states no wavelengths", fix="give a table of band centres")
        widths = None if cube.fwhm is None else cube.fwhm[cube.good_bands]
        return cube.good_wavelengths, widths
    try:
        tables = readings(read_text(path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"the grid {path} cannot be read: {error}",
            fix="give a CSV file with the columns wavelength_nm and fwhm_nm",
        ) from error
    for table in tables:
        vectors = _columns(table)
        bands = len(table.rows)
        centres = find_centres(vectors, bands, str(path))
        if centres is not None and centres.nm is not None:
            return centres.nm, find_widths(vectors, bands, centres)
    raise DataError(
        f"{path} has no column of band centres", fix="name a column wavelength_nm, in nm"
    )


def _columns(table: Table) -> list[Vector]:
    """The columns of numbers; a single one without a heading is that of the centres."""
    columns = list(table.columns())
    if len(columns) == 1 and not columns[0].name:
        return [Vector("wavelength", columns[0].values)]
    return columns


def _open_stored(path: Path) -> Cube:
    return formats.open_cube(path, reading=STORED)


READERS = Readers(_open_stored, read_spectra, read_grid)


def read_coefficients(calibration: Calibration) -> tuple[Coefficients, list[str]]:
    """The coefficients of a calibration with named references, and what to know of them.

    Exposure times that neither the calibration nor the headers state are taken as equal, and that
    of the cube as that of the dark.

    Raises:
        DataError: A file cannot be used, or they differ in columns or bands.
    """
    assert calibration.white is not None, "the caller has checked it"
    assert calibration.dark is not None, "the caller has checked it"
    # A cube that was taken as the dark was: only its header and its size are used.
    like_raw = _open_stored(expand(calibration.dark))
    calibrated = CalibratedCube(like_raw, calibration, READERS)
    return calibrated.coefficients, calibrated.notes()


def opened_by_plugin(cube: Cube, reading: Reading) -> Cube:
    """A cube that a plugin has opened, processed as ``reading`` states."""
    stated = replace(
        cube.reading,
        scale=reading.scale,
        calibration=reading.calibration,
        bands=reading.bands,
        binning=reading.binning,
        wavelengths=reading.wavelengths,
    )
    return processed(replace(cube, reading=stated))


def absolute_files(reading: Reading) -> Reading:
    """The reading with the files of its calibration and bands as paths from the root."""
    return replace(reading, **absolute_options(asdict(reading)))


def absolute_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The calibration, bands and table among ``options``, with their files as paths from the root.

    Args:
        options: The fields of a reading, or a ticket.
    """
    found: dict[str, Any] = {}
    calibration = options.get("calibration")
    stated = calibration_of(calibration)
    if isinstance(calibration, Mapping) and stated is not None:
        found["calibration"] = {**calibration, **_absolute(stated.files)}
    bands = options.get("bands")
    selection = selection_of(bands)
    if bands is not None and selection is not None:
        found["bands"] = {**bands, **_absolute(selection.files)}
    table = options.get("wavelengths")
    if isinstance(table, str):
        found["wavelengths"] = str(expand(table).absolute())
    return found


def _absolute(files: Mapping[str, str]) -> dict[str, str]:
    return {name: str(expand(path).absolute()) for name, path in files.items()}


def files_of_references(cubes: Iterable[Path], reading: Reading) -> set[Path]:
    """The cubes that are references of others, by the user's words or the layout of the folder."""
    calibration = calibration_of(reading.calibration)
    if calibration is None:
        return set()
    named = {expand(path).resolve() for path in calibration.files.values()}
    listed = list(cubes)
    references = {path for path in listed if _is_among(path, named)}
    if calibration.white is not None and calibration.dark is not None:
        return references
    return references | {path for path in listed if is_named_as_reference(path)}


def files_of_reading(cube: Path, reading: Reading) -> list[Path]:
    """The files other than its own that the values of a cube depend on: references and grids.

    Those that the layout of its folder names are among them, where they are found.

    Args:
        cube: The file of the cube; of an ENVI pair the header.
        reading: How it is read.
    """
    named: list[str | Path] = []
    selection = selection_of(reading.bands)
    if selection is not None:
        named += selection.files.values()
    calibration = calibration_of(reading.calibration)
    if calibration is not None:
        named += calibration.files.values()
        named += _found_references(cube, calibration)
    return [file for path in named for file in files_of_cube(expand(path))]


def _found_references(cube: Path, calibration: Calibration) -> list[Path]:
    """The references that are not named; none where they are not found."""
    data = files_of_cube(cube)[-1]
    wanted = []
    if calibration.white is None:
        wanted.append("white")
    if calibration.dark is None and not is_hyspex(data):
        wanted.append("dark")
    if not wanted:
        return []
    try:
        found = find_references(data, wanted)
    except DataError:  # reported when the cube is opened
        return []
    references = [getattr(found, word) for word in wanted]
    return [path for path in references if path is not None]


def _is_among(cube: Path, files: set[Path]) -> bool:
    """Whether one of some files is the cube's; of an ENVI pair it may be either one."""
    return any(file.resolve() in files for file in files_of_cube(cube))
