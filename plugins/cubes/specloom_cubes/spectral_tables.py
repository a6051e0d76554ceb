"""Tables of spectra: a column or a row for each."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError
from specloom_cubes.rules.tables import Table, read_text, readings
from specloom_cubes.rules.wavelengths import (
    find_centres,
    find_widths,
    is_centres_name,
    is_other_name,
    vector_of_texts,
)
from specloom_cubes.spectra import Spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.rules.wavelengths import Centres

UNIT = re.compile(r"^#\s*unit\s*[:=]\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
BAND = re.compile(r"band[ _]?\d+", re.IGNORECASE)
LAYOUTS = "write a column wavelength_nm and a column for each spectrum"


def read_table(path: Path) -> Spectra:
    """The spectra of a table; see ``read_spectra``.

    Raises:
        DataError: It cannot be read, or it is no table of spectra.
    """
    try:
        text = read_text(path)
        tables = readings(text)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the spectra {path} cannot be read: {error}", fix=LAYOUTS) from error
    if len(tables) > 1:
        raise DataError(
            f"{path} can be read with decimal points and with decimal commas",
            fix="separate columns with ';' where numbers have decimal commas",
        )
    unit = UNIT.search(text)
    stated = "" if unit is None else unit.group(1)
    table = _with_headings(tables[0])
    if any(_heads_centres(heading) for heading in table.headings):
        return _by_columns(table, path, stated)
    return _by_rows(table, path, stated)


def _with_headings(table: Table) -> Table:
    """The table, with headings also where these are numbers behind a name."""
    if table.headings or not table.rows:
        return table
    first, *rest = table.rows
    if not rest or vector_of_texts("", first[:1]) is not None:
        return table
    return Table(first, rest, table.decimal)


def _heads_centres(heading: str) -> bool:
    """Whether a heading is that of a column of band centres, and not one of them."""
    return is_centres_name(heading) and vector_of_texts("", [heading]) is None


def _by_columns(table: Table, path: Path, unit: str) -> Spectra:
    """The spectra of a table with a column for each.

    Raises:
        DataError: The column of band centres cannot be used, there are no spectra, or a cell of
            one is no number.
    """
    columns = list(table.columns())
    bands = len(table.rows)
    centres = find_centres(columns, bands, str(path))
    nm = _checked(centres, path)
    names = []
    values = []
    for at, heading in enumerate(table.headings):
        cells = [row[at] if at < len(row) else "" for row in table.rows]
        if _is_spectrum(heading, cells):
            names.append(heading)
            values.append([_value(cell, heading, path) for cell in cells])
    if not names:
        raise DataError(f"{path} has no column of a spectrum", fix=LAYOUTS)
    widths = find_widths(columns, bands, centres)
    return Spectra(tuple(names), np.array(values), nm, widths, unit, str(path), _notes(centres))


def _is_spectrum(heading: str, cells: Sequence[str]) -> bool:
    """Whether a column is a spectrum: no centres, widths or counts, and not of words alone."""
    if _heads_centres(heading) or is_other_name(heading):
        return False
    return any(any(letter.isdigit() for letter in cell) for cell in cells)


def _by_rows(table: Table, path: Path, unit: str) -> Spectra:
    """The spectra of a table with a row for each, such as that of objects.

    Raises:
        DataError: Its headings name no bands, a row is too short, or a cell is no number.
    """
    places = [at for at, heading in enumerate(table.headings) if _heads_band(heading)]
    if not places or not table.rows:
        raise DataError(
            f"{path} has no column of wavelengths, and its headings name no bands", fix=LAYOUTS
        )
    headings = [table.headings[at] for at in places]
    named = places[0] > 0
    names = []
    values = []
    for number, row in enumerate(table.rows, start=1):
        if len(row) <= places[-1]:
            raise DataError(
                f"{path}: spectrum {number} has {len(row)} cells, the headings {places[-1] + 1}",
                fix="write one value for each band",
            )
        name = row[0] if named else f"spectrum {number}"
        names.append(name)
        values.append([_value(row[at], name, path) for at in places])
    centres = _centres_of_headings(headings, path)
    nm = _checked(centres, path)
    return Spectra(tuple(names), np.array(values), nm, None, unit, str(path), _notes(centres))


def _heads_band(heading: str) -> bool:
    is_number = vector_of_texts("", [heading]) is not None
    return is_number or BAND.fullmatch(heading.strip()) is not None


def _centres_of_headings(headings: Sequence[str], path: Path) -> Centres | None:
    """The band centres in headings; None where these are the numbers of bands."""
    vector = vector_of_texts("wavelength", headings)
    if vector is None:
        return None
    return find_centres([vector], len(headings), str(path))


def _checked(centres: Centres | None, path: Path) -> NDArray[np.float64] | None:
    """Band centres in nm, or None where there are none.

    Raises:
        DataError: There are some that were not understood.
    """
    if centres is None:
        return None
    if centres.nm is None:
        raise DataError(f"{centres.notes[0]}", fix=f"correct the band centres of {path.name}")
    return centres.nm


def _notes(centres: Centres | None) -> tuple[str, ...]:
    if centres is None:
        return ()
    return centres.notes


def _value(cell: str, name: str, path: Path) -> float:
    """A cell as a number; NaN where it is empty.

    Raises:
        DataError: It is no number.
    """
    text = cell.strip()
    if not text:
        return float("nan")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise DataError(
            f"{path}: {cell!r} of the spectrum {name!r} is no number", fix="correct the cell"
        ) from None
