"""Numbers as tables: rows of cells, each with what is shown and what it is sorted by."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
ORDER = ("train", "val", "test", "predict")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Cell(NamedTuple):
    """What a cell shows, the number or text that it is sorted by, and more where it is cut."""

    text: str
    key: Any = ""
    whole: str = ""


class Table(NamedTuple):
    """Column titles and rows of cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def number(value: Any) -> str:
    """A number as a table shows it.

    >>> number(0.86698), number(32768), number(None), number(1234567.8), number(3e-6)
    ('0.8670', '32768', '-', '1.235e+06', '3.000e-06')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, int):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}" if abs(value) < 1000 else f"{value:.1f}"
    return f"{value:.3e}"


def seconds(value: float | None) -> str:
    """A length of time.

    >>> seconds(0.00021), seconds(0.35), seconds(75.2), seconds(4000), seconds(None)
    ('0.21 ms', '350 ms', '1 min 15 s', '1 h 07 min', '-')
    """
    if value is None:
        return "-"
    if value < 1:
        return f"{1000 * value:.2g} ms" if value < 0.01 else f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {round(value / 60) % 60:02} min"


def size(value: float | None) -> str:
    """A number of bytes.

    >>> size(512), size(2.5 * 2**20), size(None)
    ('512 B', '2.5 MiB', '-')
    """
    if value is None:
        return "-"
    power = min(int(math.log2(max(value, 1)) // 10), len(UNITS) - 1)
    return f"{value / 1024**power:.{0 if power == 0 else 1}f} {UNITS[power]}"


def moment(text: str) -> str:
    """A time as it is read.

    >>> moment("2026-11-22T00:49:26+00:00"), moment("")
    ('2026-11-22 00:49:26 UTC', 'at an unknown time')
    """
    return text.replace("T", " ").replace("+00:00", " UTC") or "at an unknown time"


def splits(names: Iterable[str]) -> list[str]:
    """The splits in the usual order, whatever else there is after them."""
    names = list(names)
    return [*(n for n in ORDER if n in names), *(n for n in names if n not in ORDER)]


def metrics(values: Mapping[str, Mapping[str, float]]) -> Table:
    """All metrics, a column for each split."""
    columns = splits(values)
    names = dict.fromkeys(name for stage in columns for name in values[stage])
    rows = [
        [Cell(name, name), *(_cell(values[stage].get(name)) for stage in columns)] for name in names
    ]
    return Table(["metric", *columns], rows)


def images(judged: Sequence[Mapping[str, Any]]) -> Table:
    """The metrics of each image."""
    several = len({one["judge"] for one in judged}) > 1
    names = ["iou", "f1", "precision", "recall", "roc_auc", "average_precision"]
    names += ["pixels", "anomalous", "decided", "hits", "left_out"]
    known = [n for n in names if any(n in row for one in judged for row in one["rows"])]
    rows = []
    for one in judged:
        for i, row in enumerate(one["rows"]):
            first = [Cell(one["judge"], one["judge"])] if several else []
            first += [Cell(one["stage"], one["stage"]), Cell(str(i), i)]
            rows.append([*first, *(_cell(row.get(name)) for name in known)])
    titles = [name.replace("_", " ") for name in known]
    return Table([*(["node"] if several else []), "split", "image", *titles], rows)


def costs(report: Mapping[str, Any]) -> Table:
    """Time and memory of each node, in running order."""
    found: Mapping[str, Any] = (report.get("costs") or {}).get("nodes") or {}
    order = [one["name"] for one in (report.get("graph") or {}).get("nodes", ())]
    total = sum(one["seconds"] for one in found.values()) or 1.0
    rows = []
    for name in sorted(found, key=lambda n: order.index(n) if n in order else len(order)):
        one = found[name]
        each = one["seconds"] / max(one["calls"], 1)
        rows.append(
            [
                Cell(name, name),
                Cell(str(one["calls"]), one["calls"]),
                Cell(seconds(one["seconds"]), one["seconds"]),
                Cell(f"{one['seconds'] / total:.1%}", one["seconds"]),
                Cell(seconds(each), each),
                Cell(size(one["bytes"]), one["bytes"]),
            ]
        )
    return Table(["node", "calls", "time", "share", "per call", "largest outputs"], rows)


def plugins(found: Mapping[str, Any]) -> Table:
    """Plugins with versions, and whatever else is known of where they come from."""
    each = {n: one if isinstance(one, Mapping) else {"version": one} for n, one in found.items()}
    others = dict.fromkeys(key for one in each.values() for key in one if key != "version")
    columns = ["version", *others]
    rows = [[Cell(n), *(_cut(_flat(one.get(key))) for key in columns)] for n, one in each.items()]
    return Table(["plugin", *columns], rows)


def _cut(text: str) -> Cell:
    """A cell whose hashes are cut to what tells them apart.

    >>> _cut("595f0e7ac074826edd3c7b794111ac70b4189351").text
    '595f0e7ac074…'
    """
    return Cell(HASH.sub(r"\1…", text), whole=text if HASH.search(text) else "")


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_flat(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return "" if value is None else str(value)


def _cell(value: Any) -> Cell:
    return Cell(number(value), "" if value is None else value)
