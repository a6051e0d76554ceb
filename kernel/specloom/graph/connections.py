"""Whether connections can be: their ends exist and fit, and every needed input is fed once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from specloom.contract.errors import (
    GraphError,
    NodeError,
    PortError,
    Problems,
    SpecloomError,
)
from specloom.contract.ports import Connection, Port, mismatch
from specloom.graph.ends import wrong_end
from specloom.runfile.yaml import Document

BATCH = "batch"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LETTERS = "use letters, digits and _, beginning with a letter"


def wrong_name(side: str, name: Any) -> tuple[str, str] | None:
    """What is wrong with the name of one of the ``nodes`` or ``outputs``, and the fix.

    Files are named after outputs, so that a name must not be a path.
    """
    good = isinstance(name, str) and NAME.fullmatch(name) is not None
    if side == "nodes" and (name == BATCH or not good):
        return f"{name!r} cannot be a node's name", f"{LETTERS}; {BATCH!r} is the data"
    if side == "outputs" and not good:
        return f"{name!r} cannot be an output's name", f"{LETTERS}: files are named after it"
    return None


def told(error: Exception, label: str, where: str) -> SpecloomError:
    """``error`` with a place, and as one of ours that names what failed if it is not."""
    if isinstance(error, Problems):
        return Problems([told(one, label, where) for one in error.errors])
    if isinstance(error, SpecloomError):
        return type(error)(error.what, where=error.where or where, fix=error.fix)
    what = f"{label} failed: {type(error).__name__}: {error}"
    fix = "if its inputs are right this is a mistake in the node: tell its author"
    return NodeError(what, where=where, fix=fix)


class Wiring:
    """Nodes, the connections that can be between them, and what is wrong with the others.

    Args:
        nodes: The nodes by name; None for one that could not be made.
        links: The connections as the user wrote them.
        batch: The ports of the data source; without, what the nodes ask of one.
        document: The run file, for the places in messages.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        links: Sequence[Connection],
        batch: Mapping[str, Port] | None,
        document: Document,
    ) -> None:
        self.document, self.where = document, document.where
        self.nodes = {name: node for name, node in nodes.items() if node is not None}
        self.unmade = nodes.keys() - self.nodes.keys()
        self.entries = [n for n, node in self.nodes.items() if getattr(node, "entry", False)]
        links = [*links, *self._entry_links({link.target for link in links}, batch)]
        self.batch = self._asked(links) if batch is None else dict(batch)
        #: Everything that a connection can name.
        self.ported = {**self.nodes, BATCH: SimpleNamespace(inputs={}, outputs=self.batch)}
        self.links, self._lost = list[Connection](), list[Connection]()
        self.problems: list[SpecloomError] = []
        for link in links:
            ends = ((link.source, "outputs"), (link.target, "inputs")) if link.source else ()
            wrong = [error for end in ends for error in self.wrong_end(*end, link.where)]
            lost = wrong or not link.source or self.unmade & {link.source_node, link.target_node}
            (self._lost if lost else self.links).append(link)
            self.problems += wrong
        #: What feeds each connected input of each node.
        self.feeds: dict[str, dict[str, list[str]]] = {name: {} for name in self.nodes}
        for link in self.links:
            port = link.target.partition(".")[2]
            self.feeds[link.target_node].setdefault(port, []).append(link.source)
        self.problems += [*self._misfits(), *self._unfed()]
        self.links = [link for link in self.links if not mismatch(*self.ends(link))]

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``."""
        node, _, name = end.partition(".")
        port: Port = getattr(self.ported[node], side)[name]
        return port

    def ends(self, link: Connection) -> tuple[Port, Port]:
        """The output and the input that a connection joins."""
        return self.port(link.source), self.port(link.target, "inputs")

    def label(self, name: str) -> str:
        """What messages call a node: its name and class."""
        return f"node {name!r} ({type(self.nodes[name]).__name__})"

    def told(self, error: Exception, name: str, *inside: str) -> SpecloomError:
        """``error`` as one of ours that names the node it happened in."""
        return told(error, self.label(name), self.where("nodes", name, *inside))

    def by_name(self, link: Connection) -> bool:
        """Whether a connection needs not be written: an entry node's to the batch, by name."""
        given, taken = link.source.partition(".")[2], link.target.partition(".")[2]
        return link.source_node == BATCH and given == taken and link.target_node in self.entries

    def _entry_links(
        self, taken: set[str], batch: Mapping[str, Port] | None
    ) -> Iterator[Connection]:
        """The connections of entry nodes to the batch, port by port of the same name."""
        for name in self.entries:
            for port in self.nodes[name].inputs:
                if f"{name}.{port}" not in taken and (batch is None or port in batch):
                    yield Connection(f"{BATCH}.{port}", f"{name}.{port}", self.where("nodes", name))

    def _asked(self, links: Sequence[Connection]) -> dict[str, Port]:
        """The ports that a batch must have, for a graph without a source."""
        found: dict[str, Port] = {}
        for link in links:
            (upstream, _, name), port = link.source.partition("."), link.target.partition(".")[2]
            if upstream == BATCH and port in getattr(
                self.nodes.get(link.target_node), "inputs", ()
            ):
                found.setdefault(name, self.nodes[link.target_node].inputs[port])
        return found

    def wrong_end(self, end: str, side: str, where: str = "") -> Iterator[SpecloomError]:
        """What is wrong if ``end``, as ``node.port``, is none of the ``side`` of a node."""
        return wrong_end(end, side, self.ported, self.unmade, where)

    def _misfits(self) -> Iterator[SpecloomError]:
        first: dict[str, Connection] = {}
        for link in self.links:
            (output, target), before = self.ends(link), first.get(link.target)
            if before and not target.many:
                other = f"{before.source} ({before.where or 'first'})"
                what = f"{link.target} is fed by {other} and by {link.source}"
                yield GraphError(what, where=link.where, fix="remove one of the two connections")
            first.setdefault(link.target, link)
            if why := mismatch(output, target):
                what = f"{link.source} {why.format(target=link.target)}"
                fix = f"connect {link.target} to a value that fits"
                yield PortError(what, where=link.where, fix=fix)

    def _unfed(self) -> Iterator[SpecloomError]:
        for name, node in self.nodes.items():
            needed = [port for port, spec in node.inputs.items() if spec.required]
            for port in (port for port in needed if port not in self.feeds[name]):
                if any(self._meant(link, name, port) for link in self._lost):
                    continue
                end, where, doc = f"{name}.{port}", self.where("nodes", name), node.inputs[port].doc
                what, fix = f"{end} is not fed", f"add a connection - [node.output, {end}]"
                what += f" ({doc})" if doc else ""
                if name in self.entries:
                    have = ", ".join(sorted(self.batch))
                    what = f"{end} comes from the data, which has no {port!r} (it has {have})"
                    where, fix = self.where("data"), f"use a source that offers {port!r}"
                yield GraphError(what, where=where, fix=fix)

    def _meant(self, link: Connection, name: str, port: str) -> bool:
        """Whether a lost connection may have been meant for an input: one mistake, one error."""
        downstream, _, taken = link.target.partition(".")
        if not link.source or f"{name}.{port}" in (link.source, link.target):
            return True  # it has no form, or was written the wrong way round
        if downstream == name:
            return taken not in self.nodes[name].inputs
        return taken == port and downstream not in (*self.nodes, *self.unmade)
