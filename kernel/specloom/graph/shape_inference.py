"""Sizes that follow from the data, the parameters and the connections, before a pixel is read."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from specloom.contract.errors import PortError, SpecloomError
from specloom.contract.ports import Connection, Port, fixed_size, node_of
from specloom.graph.connections import Connections
from specloom.graph.endpoints import Endpoints
from specloom.runfile.names import BATCH
from specloom.runfile.parameters import parameters


class InferredSize(NamedTuple):
    """A size, and what it follows from."""

    size: int
    reason: str


class _Axis(NamedTuple):
    """An axis at one end of a connection, with its size."""

    name: str
    inferred: InferredSize

    def __str__(self) -> str:
        if self.name.isdigit():
            return f"an axis of {self.name}"
        return f"{self.name} = {self.inferred.size} ({self.inferred.reason})"


class Unknown(Exception):  # noqa: N818  # a signal between build() and the graph, never shown
    """A node needs a size that does not follow from the graph."""


class Sizes(dict[str, int]):
    """The known sizes of one node's axes; looking up another one raises ``Unknown``."""

    def __missing__(self, axis: str) -> int:
        raise Unknown(axis)


class SizeInference:
    """Every size that follows from the data's header, the parameters and the connections.

    Args:
        endpoints: The nodes and the batch.
        connections: Connections whose ends exist and fit but for their sizes.
        batch_sizes: Sizes of the batch's axes, from the headers of the source.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        connections: Connections,
        batch_sizes: Mapping[str, int],
    ) -> None:
        self._endpoints = endpoints
        self._connections = connections
        self._problems: dict[object, SpecloomError] = {}
        #: The sizes by node (or ``batch``) and axis.
        self.sizes: dict[str, dict[str, InferredSize]] = {}
        for name, node in endpoints.nodes.items():
            self.sizes[name] = self._from_parameters(name, node)
        of_batch = {}
        for axis, size in batch_sizes.items():
            of_batch[axis] = InferredSize(size, "the data")
        self.sizes[BATCH] = of_batch
        self._infer()

    @property
    def problems(self) -> list[SpecloomError]:
        """Sizes that disagree, and nodes that cannot compute theirs."""
        return list(self._problems.values())

    def _infer(self) -> None:
        """Carry sizes along nodes and connections until nothing new follows.

        Against the flow only where nothing more follows along it: so a conflict is reported where
        a size meets the parameter that disagrees with it, not at the other end of the graph.
        """
        changed = True
        while changed:
            changed = self._go_forward() or self._go_backward()

    def _go_forward(self) -> bool:
        """Carry sizes through every node and along every connection; whether any is new."""
        changed = False
        for name in self._endpoints.nodes:
            changed |= self._compute(name)
        for connection in self._connections:
            changed |= self._carry(connection)
        return changed

    def _go_backward(self) -> bool:
        """Carry sizes against one connection, the first that has a new one; whether any has."""
        return any(self._carry(one, backward=True) for one in self._connections)

    def _carry(self, connection: Connection, *, backward: bool = False) -> bool:
        """Carry sizes along a connection, or also against it; whether any is new."""
        changed = False
        for output_axis, input_axis in self._paired_axes(connection):
            output_size = self._size(connection.source, output_axis)
            input_size = self._size(connection.target, input_axis)
            if output_size is not None and input_size is not None:
                if output_size.size != input_size.size:
                    output = _Axis(output_axis, output_size)
                    target = _Axis(input_axis, input_size)
                    self._report_conflict(connection, output, target)
            elif output_size is not None:
                self.sizes[connection.target_node][input_axis] = output_size
                changed = True
            elif input_size is not None and backward:
                self.sizes[connection.source_node][output_axis] = input_size
                changed = True
        return changed

    def _paired_axes(self, connection: Connection) -> Iterator[tuple[str, str]]:
        """The axes of an output, each with that of the input; leading ones may be left over."""
        output, target = self._connections.ports(connection)
        surplus = len(output.names) - len(target.names)
        paired = output.names[max(surplus, 0) :]
        return zip(paired, target.names, strict=False)

    def _compute(self, name: str) -> bool:
        """Let a node compute sizes from those that are known; whether any is new."""
        node = self._endpoints.nodes[name]
        if not hasattr(node, "sizes"):
            return False
        sizes = self.sizes[name]
        try:
            computed = _computed_sizes(node, sizes)
        except Unknown:
            return False
        except Exception as e:
            self._problems[name] = self._endpoints.node_error(e, name)
            return False
        changed = False
        for axis, size in computed.items():
            if axis in sizes:
                continue
            reason = f"{axis} of {name}"
            sizes[axis] = InferredSize(size, reason)
            changed = True
        return changed

    def _from_parameters(self, name: str, node: Any) -> dict[str, InferredSize]:
        """The sizes that a node's own parameters set."""
        found = {}
        for axis in _named_axes(node):
            size = fixed_size(axis, node)
            if size is None:
                continue
            reason = f"{axis}: {size} of {name}"
            place = self._place(name, axis)
            if place:
                reason = f"{reason} ({place})"
            found[axis] = InferredSize(size, reason)
        return found

    def _place(self, name: str, parameter: str) -> str:
        """The place of a node's parameter in the run file, if it stands there."""
        keys = ("nodes", name, "config", parameter)
        return self._endpoints.document.places.get(keys, "")

    def _size(self, end: str, axis: str) -> InferredSize | None:
        """The size of an axis at one end of a connection, if it is known."""
        if axis.isdigit():
            reason = f"{axis} of {end}"
            return InferredSize(int(axis), reason)
        sizes = self.sizes[node_of(end)]
        return sizes.get(axis)

    def _report_conflict(
        self,
        connection: Connection,
        output: _Axis,
        target: _Axis,
    ) -> None:
        """Report a connection whose ends have different sizes, once."""
        if connection in self._problems:
            return
        has = output.inferred
        wants = target.inferred
        fix = self._removal(connection.source_node, output.name, wants)
        if not fix:
            fix = self._removal(connection.target_node, target.name, has)
        if not fix:
            fix = f"make these agree: {has.reason}; {wants.reason}"
        what = f"{connection.source} has {output}, but {connection.target} wants {target}"
        error = PortError(what, where=connection.where, fix=fix)
        self._problems[connection] = error

    def _removal(self, name: str, axis: str, other: InferredSize) -> str:
        """The fix where the run file sets a size that follows from the graph; else empty."""
        if name == BATCH:
            return ""
        node = self._endpoints.nodes[name]
        parameter = parameters(type(node)).get(axis)
        if parameter is None or parameter.default is not None:
            return ""
        place = self._place(name, axis)
        if not place:
            return ""
        return f"remove {axis} from {name} ({place}): it follows from the graph ({other.size})"


def _computed_sizes(node: Any, inferred: Mapping[str, InferredSize]) -> dict[str, int]:
    """The sizes that a node computes from its parameters and the sizes that are known.

    Raises:
        Unknown: They need a size that is not known.
    """
    known = Sizes()
    for axis, size in inferred.items():
        known[axis] = size.size
    values = {}
    for name in parameters(type(node)):
        values[name] = getattr(node, name)
    return dict(node.sizes(values, known))


def _named_axes(node: Any) -> list[str]:
    """The axes with names, not numbers, of a node's ports, each once."""
    ports: list[Port] = [*node.inputs.values(), *node.outputs.values()]
    axes: list[str] = []
    for port in ports:
        axes += port.names
    unique = dict.fromkeys(axes)
    return [axis for axis in unique if not axis.isdigit()]
