"""One node on arrays: fitted, and called for its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.arrays.taken import TakenBatch, sizes_of, take_batch
from specloom.contract.abilities import Fittable
from specloom.contract.errors import PortError
from specloom.contract.ports import Connection, Port
from specloom.contract.runtime import Runtime
from specloom.execution.plan import Plan
from specloom.graph.graph import Graph, default_stages

if TYPE_CHECKING:
    from torch import Tensor

MakeRuntime: TypeAlias = Callable[[str], Runtime]
"""Makes the array library for a device."""

NOT_FITTED_FOR = "fit a new node on cubes like this one"


def fit_node(node: Any, cube: Any, others: Mapping[str, Any], runtime: MakeRuntime) -> None:
    """Fit a node on one array; a node without a fit is only built.

    Raises:
        PortError: An array does not fit its port.
        NodeError: There is no pixel to learn from.
    """
    taken = take_batch(node.inputs, cube, others, _label(node))
    name = node.name
    try:
        graph = graph_of(node, taken.values)
        if isinstance(node, Fittable):
            _fit(graph, node, taken.values, runtime)
    finally:
        node.name = name


def _fit(graph: Graph, node: Any, values: Mapping[str, Tensor], make: MakeRuntime) -> None:
    runtime = make(_device(node))
    batch = runtime.adopt(values, node.inputs)
    with runtime.evaluation(graph.nodes.values()):
        for number in range(node.fit_passes):
            node.fit_start(number)
            node.fit_update(**batch)
            node.fit_end()


def compute(node: Any, cube: Any, others: Mapping[str, Any], make: MakeRuntime) -> dict[str, Any]:
    """Every output of a node for one array, by name, in the kind of the array.

    Raises:
        PortError: An array does not fit its port.
        NodeError: The node is not fitted.
    """
    taken = take_batch(node.inputs, cube, others, _label(node))
    name = node.name
    try:
        made = _run(node, taken, make)
    finally:
        node.name = name
    found = {}
    for port, value in made.items():
        if value is not None:
            found[port] = taken.first.give(value, node.outputs[port])
    return found


def take_tensors(node: Any, cube: Tensor, others: Mapping[str, Any]) -> TakenBatch:
    """Tensors as the inputs of a node take them; a node that was not built is built for them.

    Raises:
        PortError: A tensor does not fit its port.
    """
    taken = take_batch(node.inputs, cube, others, _label(node))
    if getattr(node, "built_for", None) is None:
        name = node.name
        try:
            graph_of(node, taken.values)
        finally:
            node.name = name
    return taken


def _run(node: Any, taken: TakenBatch, make: MakeRuntime) -> dict[str, Any]:
    """Every output of a node for a batch, by name."""
    graph = graph_of(node, taken.values)
    runtime = make(_device(node))
    (label,) = graph.nodes
    ends = {}
    for port, spec in node.outputs.items():
        if not spec.per_stage:
            ends[f"{label}.{port}"] = port
    batch = runtime.adopt(taken.values, node.inputs)
    with runtime.evaluation([node]):
        made = Plan(graph, _stage(node), runtime, list(ends))(batch)
    return {ends[end]: value for end, value in made.items()}


def graph_of(node: Any, values: Mapping[str, Tensor]) -> Graph:
    """A graph of one node, so that sizes, ports and errors are those of every graph.

    The caller restores ``node.name``, which graphs set.

    Raises:
        PortError: The arrays have other sizes than the node was built for.
    """
    ports: dict[str, Port] = {name: node.inputs[name] for name in values}
    sizes = sizes_of(ports, values)
    _require_known_sizes(node, sizes, next(iter(values)))
    label = _label(node)
    connections = [Connection(f"batch.{name}", f"{label}.{name}") for name in values]
    return Graph({label: node}, connections, batch=ports, batch_sizes=sizes)


def _require_known_sizes(node: Any, sizes: Mapping[str, int], first: str) -> None:
    """Raise PortError where a node was built for other sizes than those of the arrays."""
    built: Mapping[str, int] = getattr(node, "built_for", None) or {}
    for axis, size in built.items():
        here = sizes.get(axis, size)
        if here != size:
            noun = "bands" if axis in ("C", "num_channels") else axis
            what = f"{first} has {here} {noun}, {_label(node)} was made for {size}"
            raise PortError(what, fix=NOT_FITTED_FOR)


def first_output(node: Any) -> str:
    """The first declared output of a node.

    Raises:
        PortError: It has none.
    """
    ports: Sequence[str] = list(node.outputs)
    if not ports:
        what = f"{_label(node)} has no output to give"
        raise PortError(what, fix="add it to a pipeline, whose runs it watches")
    return ports[0]


def with_positional(node: Any, more: Sequence[Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by the names of inputs; the positional ones are for the inputs after the first.

    Raises:
        PortError: There are more of them than inputs.
    """
    _first, *following = node.inputs
    if len(more) > len(following):
        what = f"{_label(node)} has {len(following) + 1} inputs, {len(more) + 1} arrays were passed"
        raise PortError(what, fix=f"pass at most: {', '.join(node.inputs)}")
    return {**dict(zip(following, more, strict=False)), **others}


def _stage(node: Any) -> str:
    """The stage in which a node is called: predict, or its last one."""
    stages = default_stages(node)
    if "predict" in stages:
        return "predict"
    return stages[-1]


def _label(node: Any) -> str:
    return node.name or type(node).__name__


def _device(node: Any) -> str:
    """The device of a node's tensors."""
    for tensor in node.state_dict().values():
        return str(tensor.device)
    return "cpu"
