"""Tables as spreadsheets write them: semicolons, tabs or commas, decimal points or commas."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specloom_cubes.rules.wavelengths import Vector, counts_from_one

LONGEST = 1 << 26
"""Bytes of the longest table that is read."""

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
DIGITS = re.compile(r"\d+")
SEPARATOR_LINE = re.compile(r"sep=.", re.IGNORECASE)
"""The first line that one spreadsheet writes for itself."""


@dataclass(frozen=True)
class Table:
    """One reading of a table.

    Args:
        headings: The names of the columns; none where the table has no heading.
        rows: The cells of each row.
        decimal: ``,`` where commas were read as decimal commas although they may separate columns.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    decimal: str = "."

    def columns(self) -> Iterator[Vector]:
        """The columns that hold numbers only, with their headings."""
        width = max(map(len, self.rows), default=0)
        for at in range(width):
            cells = [row[at] if at < len(row) else "" for row in self.rows]
            vector = _vector(self.headings[at] if at < len(self.headings) else "", cells)
            if vector is not None:
                yield vector

    def lines(self) -> Iterator[Vector]:
        """The rows that hold numbers only, but for a name in the first cell."""
        for row in [self.headings, *self.rows]:
            vector = _vector("", row)
            if vector is None and row:
                vector = _vector(row[0], row[1:])
            if vector is not None:
                yield vector


def read_text(path: Path) -> str:
    """The text of a table: UTF-8 or UTF-16 by its mark, or else the Western code page.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too long, or no text.
    """
    size = path.stat().st_size
    if size > LONGEST:
        raise ValueError(f"it has {size} bytes")
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    if b"\0" in raw:
        raise ValueError("it is no text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def readings(text: str) -> list[Table]:
    """The ways in which a table can be read: two where commas may be decimal commas.

    Raises:
        csv.Error: A cell is far too long.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and SEPARATOR_LINE.fullmatch(lines[0].strip()):
        lines = lines[1:]
    for delimiter in ";\t":
        if any(delimiter in line for line in lines):
            return [_table(list(csv.reader(lines, delimiter=delimiter)))]
    if any("," in line for line in lines):
        return _with_commas(list(csv.reader(lines, skipinitialspace=True)))
    words = [line.split() for line in lines]
    if words and len(words[-1]) > 1 and all(_number(word) is not None for word in words[-1]):
        return [_table(words)]
    return [_table([[line] for line in lines])]


def _with_commas(rows: list[list[str]]) -> list[Table]:
    """Tables of rows that were separated at commas, which may be decimal commas."""
    table = _table(rows)
    widths = {len(row) for row in table.rows}
    if len(widths) != 1:
        return [table]
    width = widths.pop()
    cells = [cell for row in table.rows for cell in row]
    if width % 2 or not all(DIGITS.fullmatch(cell) for cell in cells):
        return [table]
    joined = Table(table.headings, [_joined(row) for row in table.rows], ",")
    first = np.array([float(row[0]) for row in table.rows])
    if len(table.headings) == width or counts_from_one(first):
        return [table]
    if len(table.headings) == width // 2:
        return [joined]
    return [table, joined]


def _joined(row: Sequence[str]) -> list[str]:
    """Neighbouring cells as one number, the second behind a decimal point."""
    return [f"{row[at]}.{row[at + 1]}" for at in range(0, len(row), 2)]


def _table(rows: list[list[str]]) -> Table:
    """A table of rows; those before the first that holds a number are headings."""
    cells = [[cell.strip().strip("\u00a0") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    first = len(cells)
    for at, row in enumerate(cells):
        if any(_number(cell) is not None for cell in row):
            first = at
            break
    headings: list[str] = []
    if 0 < first < len(cells):
        headings = cells[first - 1]
    return Table(headings, cells[first:])


def _vector(name: str, cells: Sequence[str]) -> Vector | None:
    """Cells as numbers, without empty ones at the end; None where some are none."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    numbers = [_number(cell) for cell in cells[:end]]
    found = [number for number in numbers if number is not None]
    if not found or len(found) < len(numbers):
        return None
    return Vector(name, np.array(found))


def _number(cell: str) -> float | None:
    """A number with a decimal point or comma, and marks between thousands where it has both."""
    text = cell.strip()
    if "," in text and "." in text:
        mark = min(",.", key=text.rindex)
        text = text.replace(mark, "")
    text = text.replace(",", ".")
    if NUMBER.fullmatch(text) is None:
        return None
    return float(text)
