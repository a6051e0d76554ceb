"""What a server says of its pipeline."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from specloom_serve.engine import fitted_bands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import Port
    from specloom_predict import Predictor
    from specloom_serve.settings import Limits


def describe_pipeline(predictor: Predictor, limits: Limits) -> dict[str, Any]:
    """What a pipeline reads and makes, and what it is made of, as plain values."""
    graph = predictor.run.graph
    outputs = {}
    for name, end in predictor.ends.items():
        port = graph.port(end)
        outputs[name] = {"from": end, "axes": list(port.axes or ()), "dtype": port.dtype}
    return {
        "name": predictor.run.metadata["name"],
        "bands": fitted_bands(predictor),
        "nodes": describe_nodes(predictor),
        "outputs": outputs,
        "rules": [rule.text for rule in predictor.rules],
        "notes": list(predictor.notes),
        **predictor.origin(),
        "limits": vars(limits),
    }


def describe_nodes(predictor: Predictor) -> list[dict[str, Any]]:
    """The nodes in their order: name, class, ports and parameters, as plain values."""
    graph = predictor.run.graph
    found = []
    for name in graph.order:
        node = graph.nodes[name]
        found.append(
            {
                "name": name,
                "type": f"{type(node).__module__.partition('.')[0]}.{type(node).__name__}",
                "inputs": _ports(node.inputs),
                "outputs": _ports(node.outputs),
                "parameters": _parameters(node),
            }
        )
    return found


def _ports(ports: Mapping[str, Port]) -> list[dict[str, Any]]:
    found = []
    for name, port in ports.items():
        found.append(
            {
                "name": name,
                "axes": port.axes,
                "dtype": port.dtype,
                "unit": port.unit,
                "is_optional": port.optional,
                "doc": port.doc,
            }
        )
    return found


def _parameters(node: Any) -> dict[str, Any]:
    """The parameters of a node; those that JSON cannot hold as text."""
    found = {}
    for name in inspect.signature(type(node)).parameters:
        if name == "name" or not hasattr(node, name):
            continue
        value = getattr(node, name)
        try:
            found[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            found[name] = type(value).__name__
    return found
