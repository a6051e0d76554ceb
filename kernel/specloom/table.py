"""Plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specloom.graph import Graph


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows as aligned columns, the first row underlined; columns in ``right`` flush right.

    >>> print(table([["metric", "test"], ["iou", "0.7"]], right=[1]))
    metric  test
    ------  ----
    iou      0.7
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    lines = (
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in ruled
    )
    return "\n".join(line.rstrip() for line in lines)


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics by name, one column for each split; nothing where nothing was measured."""
    names = dict.fromkeys(name for values in metrics.values() for name in values)
    rows = [[name, *(_number(values.get(name)) for values in metrics.values())] for name in names]
    right = range(1, len(metrics) + 1)
    return table([["metric", *metrics], *rows], right=right) + "\n\n" if rows else ""


def sizes_table(graph: Graph) -> str:
    """The nodes of a graph in running order, each with the sizes it was built for."""
    rows = []
    for name in graph.order:
        sizes = getattr(graph.nodes[name], "built_for", {}).items()
        rows.append([name, graph.types.get(name, ""), ", ".join(f"{a} = {n}" for a, n in sizes)])
    return table([["node", "type", "sizes"], *rows])


def _number(value: float | None) -> str:
    """Counts as they are, measures with four decimals."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
