"""The ports that connections can name: those of the nodes and of the batch."""

from collections.abc import Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from specloom.contract.errors import SpecloomError, as_specloom_error
from specloom.contract.ports import Port, node_of, port_of
from specloom.graph.ends import wrong_end
from specloom.runfile.names import BATCH
from specloom.runfile.yaml import Document


class Endpoints:
    """The nodes of a graph and its batch, by the names that connections use.

    Args:
        nodes: The nodes by name.
        unmade: The names of nodes that could not be constructed, which is reported elsewhere.
        batch: The ports of the batch.
        document: The run file, for the places in messages.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        unmade: Collection[str],
        batch: Mapping[str, Port],
        document: Document,
    ) -> None:
        self.nodes = nodes
        self.unmade = unmade
        self.batch = batch
        self.document = document
        #: Everything with ports, by name.
        self.owners = dict(nodes)
        self.owners[BATCH] = SimpleNamespace(inputs={}, outputs=batch)

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``."""
        owner = self.owners[node_of(end)]
        ports: Mapping[str, Port] = getattr(owner, side)
        return ports[port_of(end)]

    def label(self, name: str) -> str:
        """What messages call a node: its name and class."""
        cls = type(self.nodes[name])
        return f"node {name!r} ({cls.__name__})"

    def where(self, *keys: str | int) -> str:
        """The place of a key in the run file."""
        return self.document.where(*keys)

    def node_error(self, error: Exception, name: str, *keys: str) -> SpecloomError:
        """``error`` as one that names the node it happened in.

        Args:
            error: The error.
            name: The node.
            keys: Where in the node's part of the run file.
        """
        label = self.label(name)
        where = self.where("nodes", name, *keys)
        return as_specloom_error(error, label, where)

    def wrong_end(self, end: str, side: str, where: str = "") -> Iterator[SpecloomError]:
        """What is wrong if ``end``, as ``node.port``, is none of the ``side`` of a node."""
        return wrong_end(end, side, self.owners, self.unmade, where)
