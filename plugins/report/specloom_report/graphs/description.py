"""A graph as plain data: nodes with their parameters, connections with their sizes."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom import STAGES, Fittable, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

#: ``{"nodes": [{name, type, stages, params, fits}], "links": [{source, target, size}], …}``
GraphDescription: TypeAlias = dict[str, Any]
BATCH = "batch"
MAX_LENGTH = 300


def describe_graph(graph: Graph, data: str = "") -> GraphDescription:
    """Return a graph that was checked, with the sizes that follow from it.

    Args:
        graph: The graph.
        data: The reference of its source, such as ``cubes.Folder``.
    """
    links = []
    for link in graph.connections:
        size = describe_size(graph, link.source)
        links.append({"source": link.source, "target": link.target, "size": size})
    return {
        "nodes": [_describe_node(graph, name) for name in graph.order],
        "links": links,
        "outputs": dict(graph.outputs),
        "output_sizes": {end: describe_size(graph, end) for end in graph.outputs.values()},
        "data": data,
    }


def _describe_node(graph: Graph, name: str) -> dict[str, Any]:
    node = graph.nodes[name]
    stages = list(graph.stages[name])
    if set(stages) == set(STAGES):
        stages = []
    return {
        "name": name,
        "type": graph.types.get(name, type(node).__name__),
        "stages": stages,
        "params": _describe_arguments(node),
        "fits": isinstance(node, Fittable) and bool(node.fit_passes),
    }


def describe_size(graph: Graph, end: str) -> str:
    """Return the axes of an output, each as its size where that is known.

    Of an output without an array, return the kind of its values.
    """
    port = graph.port(end)
    if port.axes is None:
        return port.kind.rpartition(".")[2] or port.dtype
    if not port.axes:
        return "scalar"
    sizes = graph.inferred_sizes[end.partition(".")[0]]
    axes = []
    if port.open_front:
        axes.append("...")
    for name in port.names:
        if name in sizes:
            axes.append(str(sizes[name].size))
        else:
            axes.append(name)
    return " ".join(axes)


def _describe_arguments(node: Any) -> list[dict[str, Any]]:
    """Return every parameter of a node: its name, value, and whether that is the default."""
    described = []
    for name, parameter in inspect.signature(type(node)).parameters.items():
        if name == "name":
            continue
        value = getattr(node, name, None)
        text = _as_yaml(value)
        default = value is parameter.default or text == _as_yaml(parameter.default)
        described.append({"name": name, "value": text, "default": bool(default)})
    return described


def describe_run_file(run_file: Mapping[str, Any]) -> GraphDescription:
    """Return the graph of a run file, without sizes and defaults."""
    nodes = []
    entries: Mapping[str, Any] = run_file.get("nodes") or {}
    for name, entry in entries.items():
        nodes.append(
            {
                "name": name,
                "type": entry.get("type", ""),
                "stages": list(entry.get("stages") or ()),
                "params": describe_parameters(entry.get("config")),
                "fits": False,
            }
        )
    links = []
    for source, target in run_file.get("connections") or ():
        links.append({"source": source, "target": target, "size": ""})
    return {
        "nodes": nodes,
        "links": links,
        "outputs": run_file.get("outputs") or {},
        "data": (run_file.get("data") or {}).get("type", ""),
    }


def describe_parameters(config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the parameters that a run file sets."""
    described = []
    for name, value in (config or {}).items():
        described.append({"name": name, "value": _as_yaml(value), "default": False})
    return described


def _as_yaml(value: Any) -> str:
    """Return a value much as a run file has it.

    >>> _as_yaml((1, "a")), _as_yaml(None), _as_yaml("a")
    ('[1, "a"]', 'null', 'a')
    """
    if value is inspect.Parameter.empty:
        return ""
    text = value
    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > MAX_LENGTH:
        return f"{text[: MAX_LENGTH - 3]}..."
    return str(text)
