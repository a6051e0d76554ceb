"""The connections of a graph: their ends exist and fit, and every needed input is connected."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, overload

from specloom.contract.errors import GraphError, PortError, SpecloomError
from specloom.contract.ports import Connection, Port, mismatch, port_of
from specloom.graph.endpoints import Endpoints
from specloom.runfile.names import BATCH
from specloom.runfile.yaml import Document

#: By connected input of a node, the values that come to it, as ``node.port``.
Incoming: TypeAlias = dict[str, list[str]]


class Connections(Sequence[Connection]):
    """The connections that can be, in the user's order, and what is wrong with the others.

    Args:
        connections: The connections as the user wrote them, with those of entry nodes.
        endpoints: The nodes and the batch.
    """

    def __init__(self, connections: Sequence[Connection], endpoints: Endpoints) -> None:
        self.problems: list[SpecloomError] = []
        self._endpoints = endpoints
        self._nodes = endpoints.nodes
        self._invalid: list[Connection] = []
        valid = self._with_existing_ends(connections)
        #: By node and connected input, the values that come to it, as ``node.port``.
        self.incoming = _incoming(endpoints.nodes, valid)
        self.problems += self._conflicts(valid)
        self.problems += self._unconnected()
        self._valid = [one for one in valid if not self._mismatch(one)]

    @overload
    def __getitem__(self, index: int) -> Connection: ...

    @overload
    def __getitem__(self, index: slice) -> list[Connection]: ...

    def __getitem__(self, index: int | slice) -> Connection | list[Connection]:
        return self._valid[index]

    def __len__(self) -> int:
        return len(self._valid)

    def ports(self, connection: Connection) -> tuple[Port, Port]:
        """The output and the input that a connection joins."""
        output = self._endpoints.port(connection.source)
        target = self._endpoints.port(connection.target, "inputs")
        return output, target

    def is_implied(self, connection: Connection) -> bool:
        """Whether a connection need not be written: an entry node's to the batch, by name."""
        if connection.source_node != BATCH:
            return False
        if port_of(connection.source) != port_of(connection.target):
            return False
        target = self._nodes[connection.target_node]
        return is_entry(target)

    def _mismatch(self, connection: Connection) -> str:
        """Why the ports of a connection do not fit each other, or ``""``."""
        output, target = self.ports(connection)
        return mismatch(output, target)

    def _with_existing_ends(self, connections: Sequence[Connection]) -> list[Connection]:
        """The connections whose ends exist; the others become invalid, and are reported."""
        valid = []
        for connection in connections:
            wrong = self._wrong_ends(connection)
            self.problems += wrong
            if wrong or self._has_unknown_end(connection):
                self._invalid.append(connection)
            else:
                valid.append(connection)
        return valid

    def _wrong_ends(self, connection: Connection) -> list[SpecloomError]:
        """What is wrong with the ends; nothing where the connection has none, being malformed."""
        if not connection.source:
            return []
        where = connection.where
        wrong_end = self._endpoints.wrong_end
        wrong: list[SpecloomError] = []
        wrong += wrong_end(connection.source, "outputs", where)
        wrong += wrong_end(connection.target, "inputs", where)
        return wrong

    def _has_unknown_end(self, connection: Connection) -> bool:
        """Whether it is malformed, or joins a node that could not be made."""
        if not connection.source:
            return True
        unmade = self._endpoints.unmade
        return connection.source_node in unmade or connection.target_node in unmade

    def _conflicts(self, connections: Sequence[Connection]) -> Iterator[SpecloomError]:
        """Inputs with more than one connection, and ports that do not fit each other."""
        first: dict[str, Connection] = {}
        for connection in connections:
            target = connection.target
            port = self._endpoints.port(target, "inputs")
            if target not in first:
                first[target] = connection
            elif not port.many:
                yield _second_connection(first[target], connection)
            reason = self._mismatch(connection)
            if reason:
                reason = reason.format(target=target)
                what = f"{connection.source} {reason}"
                fix = f"connect {target} to a value that fits"
                yield PortError(what, where=connection.where, fix=fix)

    def _unconnected(self) -> Iterator[SpecloomError]:
        """Required inputs that nothing is connected to."""
        for name, node in self._nodes.items():
            connected = self.incoming[name]
            for port, spec in node.inputs.items():
                if not spec.required or port in connected:
                    continue
                if not self._has_meant_connection(name, port):
                    yield self._unconnected_error(name, port, spec)

    def _unconnected_error(self, name: str, port: str, spec: Port) -> SpecloomError:
        """The error for a required input without a connection."""
        end = f"{name}.{port}"
        if is_entry(self._nodes[name]):
            names = sorted(self._endpoints.batch)
            offered = ", ".join(names)
            what = f"{end} comes from the data, which has no {port!r} (it has {offered})"
            where = self._endpoints.where("data")
            fix = f"use a source that offers {port!r}"
            return GraphError(what, where=where, fix=fix)
        what = f"{end} is not connected"
        if spec.doc:
            what = f"{what} ({spec.doc})"
        where = self._endpoints.where("nodes", name)
        fix = f"add a connection - [node.output, {end}]"
        return GraphError(what, where=where, fix=fix)

    def _has_meant_connection(self, name: str, port: str) -> bool:
        """Whether any invalid connection may be meant for an input."""
        return any(self._is_meant(one, name, port) for one in self._invalid)

    def _is_meant(self, connection: Connection, name: str, port: str) -> bool:
        """Whether an invalid connection may be meant for an input: one mistake, one error."""
        end = f"{name}.{port}"
        if not connection.source:
            return True  # it is malformed
        if end in (connection.source, connection.target):
            return True  # it may have been written the wrong way round
        target_node = connection.target_node
        target_port = port_of(connection.target)
        if target_node == name:
            return target_port not in self._nodes[name].inputs
        if target_node in self._nodes or target_node in self._endpoints.unmade:
            return False
        return target_port == port


def is_entry(node: Any) -> bool:
    """Whether a node takes its inputs from the batch by name."""
    return bool(getattr(node, "entry", False))


def entry_connections(
    nodes: Mapping[str, Any],
    written: Sequence[Connection],
    batch: Mapping[str, Port] | None,
    document: Document,
) -> Iterator[Connection]:
    """The connections of entry nodes to the batch that are not written, by the names of ports."""
    connected = {connection.target for connection in written}
    for name, node in nodes.items():
        if not is_entry(node):
            continue
        where = document.where("nodes", name)
        for port in node.inputs:
            if batch is not None and port not in batch:
                continue
            source = f"{BATCH}.{port}"
            target = f"{name}.{port}"
            if target not in connected:
                yield Connection(source, target, where)


def needed_batch(nodes: Mapping[str, Any], connections: Sequence[Connection]) -> dict[str, Port]:
    """The ports that a batch must have, for a graph without a source."""
    needed: dict[str, Port] = {}
    for connection in connections:
        if connection.source_node != BATCH:
            continue
        node = nodes.get(connection.target_node)
        inputs: Mapping[str, Port] = getattr(node, "inputs", {})
        port = inputs.get(port_of(connection.target))
        if port is not None:
            name = port_of(connection.source)
            needed.setdefault(name, port)
    return needed


def _second_connection(first: Connection, second: Connection) -> GraphError:
    """The error for an input with two connections."""
    place = first.where or "first"
    what = f"{second.target} is connected to {first.source} ({place}) and to {second.source}"
    fix = "remove one of the two connections"
    return GraphError(what, where=second.where, fix=fix)


def _incoming(
    nodes: Mapping[str, Any],
    connections: Sequence[Connection],
) -> dict[str, Incoming]:
    """By node and input, the values that are connected to it."""
    incoming: dict[str, Incoming] = {name: {} for name in nodes}
    for connection in connections:
        port = port_of(connection.target)
        by_port = incoming[connection.target_node]
        ends = by_port.setdefault(port, [])
        ends.append(connection.source)
    return incoming
