"""The metrics of a run as a table."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias

Metrics: TypeAlias = Mapping[str, Mapping[str, float]]
"""Numbers by the name of a metric, by split."""

MAIN = ("iou", "roc_auc", "average_precision")
"""The last parts of the names of metrics that are shown without ``-v``."""


def metrics_table(metrics: Metrics) -> str:
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


def main_metrics(metrics: Metrics) -> Metrics:
    """The metrics that say most, in each split; all of them where there are few, or none of these.

    >>> many = {"m/iou": 0.7, "m/f1": 0.8, "m/pixels": 12, "m/images": 3, "m/recall": 0.6}
    >>> main_metrics({"test": many})
    {'test': {'m/iou': 0.7}}
    >>> main_metrics({"test": {"m/f1": 0.8}})
    {'test': {'m/f1': 0.8}}
    """
    names = set(chain.from_iterable(metrics.values()))
    shown = {name for name in names if name.rpartition("/")[2] in MAIN}
    if not shown or len(names) <= len(MAIN):
        return metrics
    chosen = {}
    for split, values in metrics.items():
        chosen[split] = {name: value for name, value in values.items() if name in shown}
    return chosen


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
