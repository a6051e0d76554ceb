"""Inputs that count labelled pixels only get the output for them, where another one is wired.

In run files of 0.2.0 one output ``valid`` of a data node goes to every node. Since then ``valid``
says which pixels may be used at all, and the output ``labelled`` which of them have a label.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from specloom.contract.errors import SpecloomError
from specloom.contract.ports import Connection, Port, node_of, port_of


class _Labels(NamedTuple):
    """The outputs of a data node that have to do with labels, each as ``node.port``.

    Args:
        labelled: Which pixels have a label.
        labels: The labels.
    """

    labelled: str
    labels: str


class LabelledConnections:
    """The connections of a graph in which inputs for labelled pixels read which those are.

    Args:
        nodes: The nodes by name; None for one that could not be constructed.
        written: The connections as the user wrote them.
    """

    def __init__(self, nodes: Mapping[str, Any], written: Sequence[Connection]) -> None:
        self._nodes = nodes
        self._connected = {connection.target for connection in written}
        self._reads = {(connection.source, connection.target_node) for connection in written}
        #: The connections.
        self.connections: list[Connection] = []
        #: For each that was replaced or added, its place in the file and the line to write.
        self.notes: list[SpecloomError] = []
        for connection in written:
            self._add(connection)

    def _add(self, connection: Connection) -> None:
        """Add a connection, or what stands in its place."""
        labels = self._labels_beside(connection.source)
        if labels is None or self._nodes.get(connection.target_node) is None:
            self.connections.append(connection)
            return
        if self._counts_labelled(connection, labels):
            replacement = connection._replace(source=labels.labelled)
            self.connections.append(replacement)
            self.notes.append(_replaced(connection, replacement))
            return
        self.connections.append(connection)
        if self._reads_labels(connection, labels):
            self._add_unconnected(connection, labels)

    def _labels_beside(self, source: str) -> _Labels | None:
        """The outputs for labelled pixels of the node that makes ``source``, if it has any."""
        name = node_of(source)
        outputs: Mapping[str, Port] = getattr(self._nodes.get(name), "outputs", {})
        for port, spec in outputs.items():
            if spec.instead_of and spec.instead_of == port_of(source):
                return _Labels(f"{name}.{port}", f"{name}.{spec.labels}")
        return None

    def _counts_labelled(self, connection: Connection, labels: _Labels) -> bool:
        """Whether only labelled pixels count at the target of a connection."""
        spec = self._inputs(connection.target_node).get(port_of(connection.target))
        if spec is None:
            return False
        if spec.labelled is None:
            return self._reads_labels(connection, labels)
        return spec.labelled

    def _reads_labels(self, connection: Connection, labels: _Labels) -> bool:
        """Whether the target's node is connected to the labels too."""
        return (labels.labels, connection.target_node) in self._reads

    def _add_unconnected(self, connection: Connection, labels: _Labels) -> None:
        """Connect the inputs of the target's node for labelled pixels that have no connection."""
        for port, spec in self._inputs(connection.target_node).items():
            target = f"{connection.target_node}.{port}"
            if spec.labelled and target not in self._connected:
                added = connection._replace(source=labels.labelled, target=target)
                self._connected.add(target)
                self.connections.append(added)
                self.notes.append(_added(connection, added))

    def _inputs(self, name: str) -> Mapping[str, Port]:
        inputs: Mapping[str, Port] = getattr(self._nodes[name], "inputs", {})
        return inputs


def _replaced(before: Connection, after: Connection) -> SpecloomError:
    what = (
        f"{before.source} is connected to {before.target}, where only pixels with a label count: "
        f"{after.source} is used instead"
    )
    return SpecloomError(what, where=before.where, fix=f"write {_as_written(after)}")


def _added(before: Connection, after: Connection) -> SpecloomError:
    what = (
        f"{before.source} is connected to {before.target}, but {after.target}, where only pixels "
        f"with a label count, is not connected: {after.source} is used"
    )
    return SpecloomError(what, where=before.where, fix=f"add {_as_written(after)}")


def _as_written(connection: Connection) -> str:
    """A connection as a line of a run file, or as Python where it comes from there."""
    if connection.where:
        return f"'- [{connection.source}, {connection.target}]'"
    return f'pipeline.connect("{connection.source}", "{connection.target}")'
