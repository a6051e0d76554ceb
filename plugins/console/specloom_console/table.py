"""The metrics of a run as a table."""

from collections.abc import Mapping


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics by name, a column for each split; counts as they are, measures to four decimals.

    >>> print(metrics_table({"val": {"m/iou": 0.7}, "test": {"m/iou": 0.65, "m/pixels": 12}}))
    metric       val    test
    m/iou     0.7000  0.6500
    m/pixels       -      12
    """
    names = dict.fromkeys(name for values in metrics.values() for name in values)
    rows = [["metric", *metrics]]
    rows += [[name, *(_number(values.get(name)) for values in metrics.values())] for name in names]
    first, *others = (max(map(len, cells)) for cells in zip(*rows, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *(c.rjust(w) for c, w in zip(cells, others, strict=True))])
        for name, *cells in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
