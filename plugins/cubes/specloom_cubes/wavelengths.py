"""Tables of wavelengths in files of their own."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError
from specloom_cubes.paths import expand
from specloom_cubes.rules.tables import Table, read_text, readings
from specloom_cubes.rules.wavelengths import (
    Vector,
    convert,
    counts,
    differ,
    is_other_name,
    rank,
    why_no_centres,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from specloom_cubes.cube import Cube

BEST = "wavelength_nm"
MONOTONIC = 0.9
"""The share of steps that go one way in a column of band centres."""

ONE_EACH = "pass one wavelength in nm for each band"

_WARNED: set[str] = set()
"""Assumptions that were reported already."""


def stated_wavelengths(stated: str | Path | ArrayLike, cube: Cube) -> NDArray[np.float64]:
    """Band centres in nm that the user states for a cube, float64, for its good bands.

    Args:
        stated: A table, as ``read_wavelengths`` takes it, or numbers in nm: a list, a tuple, an
            array or a tensor, one for each band or for each good band.
        cube: The cube.

    Raises:
        DataError: The table cannot be used, or the numbers are no band centres of the cube.
    """
    if isinstance(stated, str | Path):
        return read_wavelengths(stated, cube)
    try:
        centres = np.asarray(stated, np.float64)
    except (TypeError, ValueError) as error:
        what = f"wavelengths of type {type(stated).__name__} hold no numbers: {error}"
        raise DataError(what, fix=ONE_EACH) from error
    bands = cube.shape[2]
    good = len(cube.good_bands)
    if centres.shape not in ((bands,), (good,)):
        what = f"wavelengths have the shape {centres.shape}, {cube.path} has {bands} bands"
        raise DataError(what, fix=ONE_EACH)
    reason = why_no_centres(centres)
    if reason:
        raise DataError(f"the array of wavelengths {reason}", fix=ONE_EACH)
    if len(centres) == bands:
        centres = centres[cube.good_bands]
    return centres


def read_wavelengths(path: str | Path, cube: Cube) -> NDArray[np.float64]:
    """Band centres in nm, float64 (C,), for the good bands of ``cube``.

    The table is CSV as spreadsheets write it: with semicolons, tabs or commas, decimal points or
    commas, with headings or without, in one column or one row. The column ``wavelength_nm``
    counts, else the one whose name is surest for band centres, else the only one that can hold
    them: positive, going up or down, no count of bands. A table of all bands and one of the good
    bands alone both fit. Where no unit is in its name, numbers that are all below 100 are
    micrometres. What is assumed of the unit is warned of, once.

    Raises:
        DataError: The table is absent, has no such column or several, or not one value for each
            band.
    """
    nm, notes = _read_table(path, cube)
    for note in notes:
        if note not in _WARNED:
            _WARNED.add(note)
            warnings.warn(note, stacklevel=2)
    return nm


def table_notes(path: str | Path, cube: Cube) -> list[str]:
    """What is assumed of a table of wavelengths, one sentence each; none if it cannot be read."""
    try:
        return _read_table(path, cube)[1]
    except DataError:
        return []


def _read_table(path: str | Path, cube: Cube) -> tuple[NDArray[np.float64], list[str]]:
    """Band centres in nm of the good bands, and what was assumed of their unit.

    Raises:
        DataError: The table is absent, has no such column or several, or not one value for each
            band.
    """
    path = expand(path)
    tables = _read(path)
    found: list[tuple[str, NDArray[np.float64]]] = []
    notes: list[str] = []
    errors: list[DataError] = []
    for table in tables:
        try:
            chosen = _column_of(table, path, cube)
            nm = _in_nm(chosen, path)
        except DataError as error:
            errors.append(error)
            continue
        label = _label(chosen)
        if table.decimal == ",":
            label = f"{label} with decimal commas"
        if not any(np.array_equal(nm, other) for _, other in found):
            found.append((label, nm))
            notes = [f"{path}: {note}" for note in convert(chosen).notes]
    if not found:
        raise errors[0]
    if len(found) > 1:
        raise _ambiguous(path, found)
    nm = found[0][1]
    if len(nm) == cube.shape[2]:
        nm = nm[cube.good_bands]
    return nm, notes


def _read(path: Path) -> list[Table]:
    """The ways in which a table can be read.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return readings(read_text(path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"the wavelengths {path} cannot be read: {error}",
            fix="give a CSV file of one row for each band",
        ) from error


def _column_of(table: Table, path: Path, cube: Cube) -> Vector:
    """The column, or the line, of a table that holds the band centres.

    Raises:
        DataError: There are none, or several, or not one for each band.
    """
    columns = list(table.columns())
    wanted = {cube.shape[2], len(cube.good_bands)}
    if not any(len(one.values) in wanted for one in columns):
        lines = list(table.lines())
        fitting = [one for one in lines if len(one.values) in wanted]
        if fitting:
            columns = fitting
        elif len(table.rows) == 1:
            columns = lines
    chosen = _chosen(columns, path, wanted)
    count = len(chosen.values)
    if count not in wanted:
        fix = "give the table of this cube"
        if count == cube.shape[0]:
            fix = "save the cube as rows x columns x bands: its bands seem to come first"
        raise DataError(
            f"{path} has {count} wavelengths, {cube.path} has {cube.shape[2]} bands", fix=fix
        )
    _refuse_no_centres(chosen, path)
    return chosen


def _chosen(columns: Sequence[Vector], path: Path, wanted: set[int]) -> Vector:
    """The column of band centres: by its name, or else the only one that can hold them.

    Raises:
        DataError: There is none, or there are several.
    """
    named = [one for one in columns if one.name and rank(one.name) is not None]
    if named:
        usable = [one for one in named if not why_no_centres(one.values)]
        best = min(usable or named, key=_sureness)
        _refuse_differing(best, named, path)
        return best
    unnamed = [one for one in columns if not is_other_name(one.name)]
    possible = [one for one in unnamed if convert(one).nm is not None]
    possible = [one for one in possible if not why_no_centres(one.values) and _is_monotonic(one)]
    not_counting = [one for one in possible if not counts(one.values)]
    if not_counting:
        possible = not_counting
    fitting = [one for one in possible if len(one.values) in wanted]
    if fitting:
        possible = fitting
    if len(possible) == 1:
        return possible[0]
    if possible:
        raise _ambiguous(path, [(_label(one), one.values) for one in possible])
    for one in unnamed:
        _refuse_no_centres(one, path)
        _in_nm(one, path)
    raise DataError(f"{path} has no column of wavelengths", fix=f"name a column {BEST}")


def _sureness(column: Vector) -> tuple[bool, int]:
    """The order of named columns: ``wavelength_nm`` first."""
    order = rank(column.name)
    assert order is not None, "only columns named like band centres are compared"
    return column.name.lower() != BEST, order


def _refuse_no_centres(column: Vector, path: Path) -> None:
    reason = why_no_centres(column.values)
    if reason:
        raise DataError(
            f"{path}: {_label(column)} {reason}", fix=f"name the column of band centres {BEST}"
        )


def _refuse_differing(best: Vector, named: Iterable[Vector], path: Path) -> None:
    """Refuse another column that is named like band centres and holds others.

    Beside ``wavelength_nm`` there may be others, unless they have the same name.

    Raises:
        DataError: There is one.
    """
    rivals = [one for one in named if one is not best and not why_no_centres(one.values)]
    if best.name.lower() == BEST:
        rivals = [one for one in rivals if _sureness(one) == _sureness(best)]
    centres = convert(best)
    for one in rivals:
        other = convert(one)
        if centres.nm is not None and other.nm is not None and differ(centres.nm, other.nm):
            raise _ambiguous(path, [(_label(best), best.values), (_label(one), one.values)])


def _in_nm(column: Vector, path: Path) -> NDArray[np.float64]:
    """The centres of a column in nm.

    Raises:
        DataError: They are no lengths, or not in the unit that the heading states.
    """
    centres = convert(column)
    if centres.nm is None:
        (note,) = centres.notes
        raise DataError(f"{path}: {note}", fix="give band centres in nm")
    if centres.notes and centres.unit:
        taken = centres.notes[0].rpartition(" as ")[2]
        values = column.values
        raise DataError(
            f"{path} gives {values.min():g} to {values.max():g} as {column.name}: "
            f"these are {taken}",
            fix="correct the numbers, or name the column wavelength",
        )
    return centres.nm


def _label(column: Vector) -> str:
    """What messages call a column: its heading and its first values."""
    values = ", ".join(f"{value:g}" for value in column.values[:2])
    name = f"{column.name!r}" if column.name else "the column"
    return f"{name} ({values}, …)"


def _is_monotonic(column: Vector) -> bool:
    """Whether almost all steps go one way; centres of two detectors may overlap."""
    steps = np.diff(column.values)
    if not len(steps):
        return True
    return max(float((steps > 0).mean()), float((steps < 0).mean())) >= MONOTONIC


def _ambiguous(path: Path, found: Iterable[tuple[str, NDArray[np.float64]]]) -> DataError:
    candidates = " or ".join(label for label, _ in found)
    return DataError(
        f"{path} may give the band centres as {candidates}",
        fix=f"name the column of band centres {BEST}, and separate columns with ';' where "
        "numbers have decimal commas",
    )
