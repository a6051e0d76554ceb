"""Wavelength tables beside a cube."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube


def read_wavelengths(path: str | Path, cube: Cube) -> NDArray[np.float64]:
    """Band centres in nm, float64 (C,), for the good bands of ``cube``.

    The column ``wavelength_nm`` counts, else the first whose name begins with ``wavelength``, else
    the first that holds numbers only; a table may be one such column without a heading. A table
    of all bands and one of the good bands alone both fit.

    Raises:
        DataError: The table is absent, has no such column, or not one row for each band.
    """
    path = Path(path)
    try:
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"the wavelengths {path} cannot be read: {error}", fix="give a CSV file"
        ) from error
    values = _column(rows)
    if values is None:
        raise DataError(f"{path} has no column of wavelengths", fix="name a column wavelength_nm")
    good = cube.good_bands
    if len(values) == cube.shape[2]:
        return values[good]
    if len(values) == len(good):
        return values
    raise DataError(
        f"{path} has {len(values)} wavelengths, {cube.path} has {cube.shape[2]} bands",
        fix="give the table of this cube",
    )


def _column(rows: list[list[str]]) -> NDArray[np.float64] | None:
    if not rows:
        return None
    names = [name.strip().lower() for name in rows[0]]
    if all(_numbers([name]) is not None for name in names if name):
        names, body = [""] * len(names), rows
    else:
        body = rows[1:]
    by_preference = sorted(
        range(len(names)),
        key=lambda at: (names[at] != "wavelength_nm", not names[at].startswith("wavelength")),
    )
    for at in by_preference:
        values = _numbers([row[at] if at < len(row) else "" for row in body])
        if values is not None and len(values):
            return values
    return None


def _numbers(texts: list[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None
