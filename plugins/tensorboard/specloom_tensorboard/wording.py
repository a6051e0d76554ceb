"""What tags mean, and the texts at the end of a run, as TensorBoard's Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import Graph

TRAINING = {
    "learning_rate": "The step size of the optimiser; groups of parameters have their own.",
    "best_epoch": "The epoch whose weights the graph has after the training, counted from 0.",
    "total/loss": "The sum of all losses, each times its weight.",
}
"""What trainers record of the whole training, by the end of the tag."""


def describe(graph: Graph, tag: str) -> str:
    """What ``<stage>/<node>/<name>`` means: the class of the node and its first sentence."""
    _stage, _, name = tag.partition("/")
    if name in TRAINING:
        return TRAINING[name]
    node = graph.nodes.get(name.partition("/")[0])
    if node is None:
        return ""
    cls = type(node)
    document = (cls.__doc__ or "").strip()
    first = document.partition("\n\n")[0]
    return f"{cls.__name__}: {' '.join(first.split())}"


def metrics_text(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """All metrics as a table, a row for each and a column for each split; empty without any.

    >>> print(metrics_text({"val": {"m/iou": 0.7}, "test": {"m/iou": 0.65, "m/pixels": 12}}))
    | metric | val | test |
    |---|--:|--:|
    | m/iou | 0.7000 | 0.6500 |
    | m/pixels |  | 12 |
    """
    names: dict[str, None] = {}
    for values in metrics.values():
        names.update(dict.fromkeys(values))
    if not names:
        return ""
    lines = [_row(["metric", *metrics]), "|---|" + "--:|" * len(metrics)]
    for name in names:
        lines.append(_row([name, *(_number(values.get(name)) for values in metrics.values())]))
    return "\n".join(lines)


def configuration_text(document: Mapping[str, Any]) -> str:
    """A run file as a block of code: JSON, which YAML contains."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return "\n".join(f"    {line}" for line in text.splitlines())


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    """A count as it is, a measure to four decimals, nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}"
