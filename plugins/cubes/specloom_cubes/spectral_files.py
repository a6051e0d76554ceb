"""Spectra in files: ENVI spectral libraries and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specloom import DataError
from specloom_cubes import spectral_libraries, spectral_tables
from specloom_cubes.paths import expand

if TYPE_CHECKING:
    from specloom_cubes.spectra import Spectra

LIBRARY_SUFFIXES = (".sli", ".hdr", ".slb", ".lib")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def read_spectra(path: str | Path) -> Spectra:
    """The spectra of a file: an ENVI spectral library, by either of its files, or a table.

    A table has a column of band centres (``wavelength_nm``) and a column for each spectrum, or a
    row for each spectrum and a column for each band, whose headings are band centres or
    ``band 0``, ``band 1`` and so on. A line ``# unit: reflectance`` states the unit of the values.

    Raises:
        DataError: The file is absent, damaged, or holds no spectra.
    """
    path = expand(path)
    if not path.is_file():
        raise DataError(f"there is no file of spectra {path}", fix="give the path of a file")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return spectral_tables.read_table(path)
    if path.suffix.lower() in LIBRARY_SUFFIXES:
        return spectral_libraries.read_library(path)
    raise DataError(
        f"{path} is neither a table of spectra nor a spectral library",
        fix="give a CSV file (.csv) or an ENVI spectral library (.sli)",
    )
