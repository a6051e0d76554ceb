"""The metrics of a run as a table."""

from collections.abc import Mapping, Sequence
from itertools import chain


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics by name, a column for each split; counts as they are, measures to four decimals.

    >>> print(metrics_table({"val": {"m/iou": 0.7}, "test": {"m/iou": 0.65, "m/pixels": 12}}))
    metric       val    test
    m/iou     0.7000  0.6500
    m/pixels       -      12
    """
    names = dict.fromkeys(chain.from_iterable(metrics.values()))
    rows = [["metric", *metrics], *(_row(name, metrics) for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(cells, widths) for cells in rows)


def _row(name: str, metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The cells of one metric."""
    return [name, *(_number(values.get(name)) for values in metrics.values())]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The name of a metric to the left, its numbers to the right of their columns."""
    name = cells[0].ljust(widths[0])
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([name, *numbers])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
