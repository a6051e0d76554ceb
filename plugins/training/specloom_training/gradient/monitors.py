"""The names of what is recorded while training, and what users call it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from specloom import ConfigError, Graph, Metric, did_you_mean
from specloom_training.evaluate import measured_losses

RATE = "train/learning_rate"
TOTAL = "train/total/loss"


def measuring(graph: Graph) -> list[str]:
    """The nodes that give numbers when a validation ends; which ones is known only then."""
    nodes: dict[str, Any] = graph.nodes
    starved = graph.missing_data("val").nodes
    return [
        n
        for n, node in nodes.items()
        if isinstance(nodes[n], Metric)
        and "val" in graph.stages[n]
        and "val" in graph.splits
        and n not in starved
        and any(port.dtype == "scalars" for port in node.outputs.values())
    ]


def recorded(graph: Graph, trained: Iterable[str]) -> set[str]:
    """Every name that is known, before anything runs, to be recorded."""
    names = {RATE, TOTAL, *(f"train/{name}/loss" for name in trained)}
    if "val" in graph.splits:
        names |= {f"val/{name}/loss" for name in measured_losses(graph, "val")}
    for name in measuring(graph):
        names |= {f"val/{name}/{key}" for key in getattr(graph.nodes[name], "metric_names", ())}
    for name, node in graph.nodes.items():
        if hasattr(node, "schedule_values") and name not in graph.unbuilt:
            names |= {f"train/{name}/{key}" for key in node.schedule_values()}
    return names


def full_names(name: str) -> list[str]:
    """What a user may mean by a name, the likeliest first.

    >>> full_names("train/bce")
    ['train/bce', 'train/bce/loss']
    >>> full_names("metrics_anomaly/iou")
    ['metrics_anomaly/iou', 'val/metrics_anomaly/iou', 'train/metrics_anomaly/iou']
    """
    stage, _, rest = name.partition("/")
    if stage in ("train", "val") and rest:
        return [name, *([f"{name}/loss"] if "/" not in rest else [])]
    return [name, *(f"{s}/{name}" for s in ("val", "train"))]


def meant(name: str, graph: Graph, names: Iterable[str]) -> str | None:
    """The full name of what a user monitors; None where nothing records it.

    A metric node may name its numbers in ``metric_names``; without, any name is accepted.
    """
    known = set(names)
    measures = [n for n in measuring(graph) if not hasattr(graph.nodes[n], "metric_names")]
    for full in full_names(name):
        stage, _, rest = full.partition("/")
        if full in known or (stage == "val" and rest.partition("/")[0] in measures and "/" in rest):
            return full
    return None


def unknown(name: str, place: str, known: Iterable[str], where: str = "") -> ConfigError:
    """The error of a monitor that nothing records."""
    what = f"{place} monitors {name!r}, which nothing records"
    return ConfigError(what, where=where, fix=did_you_mean(name, known))


def value_of(name: str, values: Mapping[str, Any]) -> float | None:
    """The recorded value behind a monitored name, if it was recorded now."""
    return next((float(values[full]) for full in full_names(name) if full in values), None)
