"""The cubes of a prediction as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from specloom_report.page.tables import Cell, Table, format_number, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = (
    "cube",
    "verdict",
    "reason",
    "objects",
    "largest, pixels",
    "decided",
    "unjudged",
    "level",
    "shape",
    "time",
)


def prediction_table(report: Mapping[str, Any]) -> Table:
    """Return a row for each cube that was predicted; no rows where none was."""
    rows = []
    for row in report.get("cubes") or ():
        rows.append(
            [
                Cell(row["cube"], row["cube"]),
                Cell(row["verdict"], row["verdict"]),
                Cell(row["reason"], row["reason"]),
                _number(row["objects"]),
                _number(row["largest"]),
                _percent(row["decided"]),
                _percent(row["unjudged"]),
                _number(row["level"]),
                _number(row["shape"]),
                Cell(format_seconds(row["seconds"]), _key(row["seconds"])),
            ]
        )
    return Table(COLUMNS, rows)


def _number(value: float | None) -> Cell:
    return Cell(format_number(value), _key(value))


def _percent(value: float | None) -> Cell:
    if value is None:
        return Cell("-")
    return Cell(f"{100 * value:.3g} %", value)


def _key(value: float | None) -> float | str:
    if value is None:
        return ""
    return value
