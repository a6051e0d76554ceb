"""Nodes that fit or measure without the pixels that count, where the graph offers which do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from specloom.contract.abilities import Fittable, Loss, Metric
from specloom.contract.errors import GraphError
from specloom.contract.ports import Port, mismatch, port_of

PIXEL_INPUTS = ("valid", "labelled")
"""The names of inputs that say which pixels count."""


class Offered(NamedTuple):
    """Outputs of the graph that say which pixels count, as ``node.port``; empty where none does.

    Args:
        valid: Which pixels may be used at all.
        labelled: Which of them have a label.
    """

    valid: str = ""
    labelled: str = ""


def offered_pixels(nodes: Mapping[str, Any], order: Sequence[str]) -> Offered:
    """The outputs that say which pixels count; of several the last one in running order."""
    offered = Offered()
    for name in order:
        outputs: Mapping[str, Port] = nodes[name].outputs
        for port, spec in outputs.items():
            end = f"{name}.{port}"
            if spec.unused_note and port in PIXEL_INPUTS:
                offered = offered._replace(valid=end)
            elif spec.instead_of:
                offered = offered._replace(labelled=end)
    return offered


class OpenInput(NamedTuple):
    """An input for the pixels that count to which nothing is connected.

    Args:
        node: The node.
        target: The input, as ``node.port``.
        source: The output that says which pixels count.
        use: What the node does with the pixels, such as ``fitted``.
    """

    node: str
    target: str
    source: str
    use: str

    def note(self, where: str) -> GraphError:
        """What to report of it."""
        what = (
            f"{self.target} is not connected: pixels that {self.source} excludes are "
            f"{self.use} like the others"
        )
        return GraphError(what, where=where, fix=f"connect {self.source} to {self.target}")


def open_pixel_inputs(
    nodes: Mapping[str, Any],
    connected: Mapping[str, Mapping[str, Any]],
    offered: Offered,
) -> Iterator[OpenInput]:
    """Yield the inputs of metrics, losses and fits for pixels that count which are not connected.

    Args:
        nodes: The nodes by name.
        connected: The connected inputs of each node.
        offered: The outputs that say which pixels count.
    """
    outputs = {end: _output(nodes, end) for end in offered if end}
    for name, node in nodes.items():
        use = _use_of_pixels(node)
        if not use:
            continue
        for port in PIXEL_INPUTS:
            spec = node.inputs.get(port)
            if spec is None or port in connected[name]:
                continue
            source = _source_for(spec, offered)
            if source and not mismatch(outputs[source], spec):
                yield OpenInput(name, f"{name}.{port}", source, use)


def _output(nodes: Mapping[str, Any], end: str) -> Port:
    """The output behind ``node.port``."""
    name = end.partition(".")[0]
    output: Port = nodes[name].outputs[port_of(end)]
    return output


def _source_for(spec: Port, offered: Offered) -> str:
    """The output to connect to an input, or ``""``."""
    if spec.labelled and offered.labelled:
        return offered.labelled
    return offered.valid


def _use_of_pixels(node: Any) -> str:
    """What a node does with the pixels that count; empty for one that only computes outputs."""
    if isinstance(node, Loss):
        return "counted by the loss"
    if isinstance(node, Metric) and _measures_numbers(node):
        return "measured"
    if isinstance(node, Fittable) and node.fit_passes:
        return "fitted"
    return ""


def _measures_numbers(node: Any) -> bool:
    """Whether a node measures numbers; others draw pictures, for instance."""
    outputs: Mapping[str, Port] = node.outputs
    return any(spec.dtype == "scalars" for spec in outputs.values())
