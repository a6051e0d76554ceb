"""A graph as plain data: nodes with their parameters, connections with their sizes."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom import STAGES, Fittable, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

#: ``{"nodes": [{name, type, stages, params, fits}], "links": [{source, target, size}], …}``
Described: TypeAlias = dict[str, Any]
BATCH = "batch"


def described(graph: Graph, data: str = "") -> Described:
    """A graph that was checked, with the sizes that follow from it.

    Args:
        graph: The graph.
        data: The reference of its source, such as ``cubes.Folder``.
    """
    nodes = []
    for name in graph.order:
        node, stages = graph.nodes[name], graph.stages[name]
        nodes.append(
            {
                "name": name,
                "type": graph.types.get(name, type(node).__name__),
                "stages": [] if set(stages) == set(STAGES) else list(stages),
                "params": parameters(node),
                "fits": isinstance(node, Fittable) and bool(node.fit_passes),
            }
        )
    links = [
        {"source": one.source, "target": one.target, "size": size(graph, one.source)}
        for one in graph.connections
    ]
    sizes = {end: size(graph, end) for end in graph.outputs.values()}
    outputs = {"outputs": dict(graph.outputs), "output_sizes": sizes}
    return {"nodes": nodes, "links": links, **outputs, "data": data}


def size(graph: Graph, end: str) -> str:
    """The axes of an output, each as its size where that is known.

    Of an output without an array, what flows there instead.
    """
    port, known = graph.port(end), graph.inferred_sizes[end.partition(".")[0]]
    if port.axes is None:
        return port.kind.rpartition(".")[2] or port.dtype
    if not port.axes:
        return "scalar"
    names = [str(known[name].size) if name in known else name for name in port.names]
    return " ".join(["..."] * port.open_front + names)


def parameters(node: Any) -> list[dict[str, Any]]:
    """Every parameter of a node: its name, value, and whether that is the default."""
    found = []
    for name, parameter in inspect.signature(type(node)).parameters.items():
        if name != "name":
            value = getattr(node, name, None)
            default = bool(value is parameter.default or _text(value) == _text(parameter.default))
            found.append({"name": name, "value": _text(value), "default": default})
    return found


def described_file(run: Mapping[str, Any]) -> Described:
    """What a run file says of its graph, where nothing more is known: no sizes, no defaults."""
    given: Mapping[str, Any] = run.get("nodes") or {}
    links = [{"source": a, "target": b, "size": ""} for a, b in run.get("connections") or ()]
    nodes = [
        {
            "name": name,
            "type": one.get("type", ""),
            "stages": list(one.get("stages") or ()),
            "params": configuration(one.get("config")),
            "fits": False,
        }
        for name, one in given.items()
    ]
    data = (run.get("data") or {}).get("type", "")
    return {"nodes": nodes, "links": links, "outputs": run.get("outputs") or {}, "data": data}


def configuration(config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Parameters as a run file gives them."""
    given = (config or {}).items()
    return [{"name": name, "value": _text(value), "default": False} for name, value in given]


def _text(value: Any) -> str:
    """A value much as a run file has it.

    >>> _text((1, "a")), _text(None), _text("a")
    ('[1, "a"]', 'null', 'a')
    """
    if value is inspect.Parameter.empty:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:297]}..."
