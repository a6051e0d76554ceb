"""Tables of wavelengths in files of their own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube


LEAST_NM = 100
"""Wavelengths below this are in micrometres."""


def read_wavelengths(path: str | Path, cube: Cube) -> NDArray[np.float64]:
    """Band centres in nm, float64 (C,), for the good bands of ``cube``.

    The column ``wavelength_nm`` counts, else the first whose name begins with ``wavelength``, else
    the first that holds numbers only; a table may be one such column without a heading. Where its
    name says no ``_nm``, numbers that are all below 100 are micrometres. A table of all bands and
    one of the good bands alone both fit.

    Raises:
        DataError: The table is absent, has no such column, or not one row for each band.
    """
    path = Path(path)
    try:
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"the wavelengths {path} cannot be read: {error}",
            fix="give a CSV file of one row for each band",
        ) from error
    column = _column(rows)
    if column is None:
        raise DataError(f"{path} has no column of wavelengths", fix="name a column wavelength_nm")
    name, values = column
    good = cube.good_bands
    if len(values) not in (cube.shape[2], len(good)):
        fix = "give the table of this cube"
        if len(values) == cube.shape[0]:
            fix = "save the cube as rows x columns x bands: its bands seem to come first"
        raise DataError(
            f"{path} has {len(values)} wavelengths, {cube.path} has {cube.shape[2]} bands", fix=fix
        )
    micrometres = bool(values.max() < LEAST_NM)
    if micrometres and "_nm" in name:
        raise DataError(
            f"{path} gives {values.min():g} to {values.max():g} as {name}: these are micrometres",
            fix="multiply them by 1000, or name the column wavelength",
        )
    if micrometres:
        values = values * 1e3
    if len(values) == cube.shape[2]:
        return values[good]
    return values


def _column(rows: list[list[str]]) -> tuple[str, NDArray[np.float64]] | None:
    """The name of the column of wavelengths, and its numbers."""
    if not rows:
        return None
    names = [name.strip().lower() for name in rows[0]]
    headings = [name for name in names if name]
    if all(_numbers([heading]) is not None for heading in headings):
        names = [""] * len(names)
        body = rows
    else:
        body = rows[1:]
    for at in _by_preference(names):
        values = _numbers([_cell(row, at) for row in body])
        if values is not None and len(values):
            return names[at], values
    return None


def _cell(row: list[str], at: int) -> str:
    """A cell of a column; empty where the row is too short."""
    if at < len(row):
        return row[at]
    return ""


def _by_preference(names: list[str]) -> list[int]:
    """The numbers of the columns: ``wavelength_nm``, then ``wavelength…``, then all others."""

    def rank(at: int) -> int:
        if names[at] == "wavelength_nm":
            return 0
        if names[at].startswith("wavelength"):
            return 1
        return 2

    return sorted(range(len(names)), key=rank)


def _numbers(texts: list[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None
