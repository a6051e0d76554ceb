"""The names of what is recorded while training, and what users call it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from specloom import ConfigError, Graph, Metric, did_you_mean
from specloom_training.evaluate import describe_missing, measured_losses

LEARNING_RATE = "train/learning_rate"
TOTAL = "train/total/loss"


def metric_nodes(graph: Graph) -> list[str]:
    """The nodes that give numbers when a validation ends; which ones is known only then."""
    if "val" not in graph.splits:
        return []
    starved = graph.missing_data("val").nodes
    return [
        name
        for name, node in graph.nodes.items()
        if name not in starved and "val" in graph.stages[name] and _gives_numbers(node)
    ]


def _gives_numbers(node: Any) -> bool:
    if not isinstance(node, Metric):
        return False
    ports: Mapping[str, Any] = getattr(node, "outputs", {})
    return any(port.dtype == "scalars" for port in ports.values())


def unnamed_metrics(graph: Graph) -> list[str]:
    """The metric nodes that do not say which numbers they give."""
    return [name for name in metric_nodes(graph) if not hasattr(graph.nodes[name], "metric_names")]


def recorded_names(graph: Graph, minimised: Iterable[str]) -> set[str]:
    """Every name that is known, before anything runs, to be recorded."""
    names = {LEARNING_RATE, TOTAL}
    names.update(f"train/{name}/loss" for name in minimised)
    if "val" in graph.splits:
        names.update(f"val/{name}/loss" for name in measured_losses(graph, "val"))
    for name in metric_nodes(graph):
        metric_names = getattr(graph.nodes[name], "metric_names", ())
        names.update(f"val/{name}/{key}" for key in metric_names)
    for name, node in graph.nodes.items():
        if hasattr(node, "schedule_values") and name not in graph.unbuilt:
            names.update(f"train/{name}/{key}" for key in node.schedule_values())
    return names


def full_names(name: str) -> list[str]:
    """What a user may mean by a name, the likeliest first.

    >>> full_names("train/bce")
    ['train/bce', 'train/bce/loss']
    >>> full_names("metrics_anomaly/iou")
    ['metrics_anomaly/iou', 'val/metrics_anomaly/iou', 'train/metrics_anomaly/iou']
    """
    stage, _, rest = name.partition("/")
    if stage not in ("train", "val") or not rest:
        return [name, f"val/{name}", f"train/{name}"]
    if "/" in rest:
        return [name]
    return [name, f"{name}/loss"]


def resolve(name: str, graph: Graph, names: Iterable[str]) -> str | None:
    """The full name of what a user monitors; None where nothing records it.

    A metric node may say which numbers it gives, in ``metric_names``; of others any is accepted.
    """
    recorded = set(names)
    unnamed = unnamed_metrics(graph)
    for full in full_names(name):
        if full in recorded or _may_be_recorded(full, unnamed):
            return full
    return None


def _may_be_recorded(full: str, unnamed: Iterable[str]) -> bool:
    stage, _, rest = full.partition("/")
    node, slash, _ = rest.partition("/")
    return stage == "val" and slash == "/" and node in unnamed


def unknown_monitor(name: str, place: str, names: Iterable[str], where: str = "") -> ConfigError:
    """The error of a monitor that nothing records."""
    what = f"{place} monitors {name!r}, which nothing records"
    return ConfigError(what, where=where, fix=did_you_mean(name, names))


def undefined_monitor(
    name: str, place: str, graph: Graph, recorded: Mapping[str, Any]
) -> ConfigError | None:
    """The error of a metric that a node can give, but that the split ``val`` does not define.

    None where no node says that it gives the metric.
    """
    node = _node_with_metric(name, graph)
    if node is None:
        return None
    what = f"{place} monitors {name!r}, which is not defined on the split 'val'"
    counts = _describe_classes(node, recorded)
    if counts:
        what = f"{what}: {counts}"
    fix = "use validation data on which it is defined, or monitor another metric"
    return ConfigError(what, where=graph.where("data"), fix=fix)


def unmeasured_monitor(name: str, place: str, graph: Graph, where: str) -> ConfigError | None:
    """The error of a metric of a node that cannot run on the split ``val``, for want of data.

    None where that is not why nothing records it.
    """
    if "val" not in graph.splits:
        return None
    node = _node_with_metric(name, graph)
    if node is None or node not in graph.missing_data("val").nodes:
        return None
    why = describe_missing(graph, "val")
    what = f"{place} monitors {name!r}, which is not defined on the split 'val': {why}"
    fix = "use validation data that has it, or monitor another value"
    return ConfigError(what, where=where, fix=fix)


def _node_with_metric(name: str, graph: Graph) -> str | None:
    """The node that says that it gives a validation metric."""
    for full in full_names(name):
        stage, _, rest = full.partition("/")
        node, _, metric = rest.partition("/")
        metric_names = getattr(graph.nodes.get(node), "metric_names", ())
        if stage == "val" and metric in metric_names:
            return node
    return None


def _describe_classes(node: str, recorded: Mapping[str, Any]) -> str:
    """How many pixels of the validation are anomalous, where the node counted them."""
    pixels = recorded.get(f"val/{node}/pixels")
    anomalous = recorded.get(f"val/{node}/anomalous_pixels")
    if pixels is None or anomalous is None:
        return ""
    return f"{anomalous:.0f} of its {pixels:.0f} labelled pixels are anomalous"


def value_of(name: str, values: Mapping[str, Any]) -> float | None:
    """The recorded value behind a monitored name, if it was recorded now."""
    for full in full_names(name):
        if full in values:
            return float(values[full])
    return None
