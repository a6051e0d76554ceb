"""Whether connections can be: their ends exist and fit, and every needed input is fed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specloom.errors import GraphError, NodeError, PortError, Problems, SpecloomError, did_you_mean
from specloom.ports import Port, mismatch
from specloom.sizes import Link

if TYPE_CHECKING:
    from specloom.yamlfile import Document

BATCH = "batch"


def side_of(
    nodes: Mapping[str, Any], batch: Mapping[str, Port], node: str, side: str
) -> Mapping[str, Port]:
    """The ports of a node, or of the batch, on the side ``inputs`` or ``outputs``."""
    if node == BATCH:
        return batch if side == "outputs" else {}
    ports: Mapping[str, Port] = getattr(nodes[node], side)
    return ports


def asked(nodes: Mapping[str, Any], links: Sequence[Link]) -> dict[str, Port]:
    """The ports that a batch must have for ``nodes``, for a graph without a source."""
    entries = [node for node in nodes.values() if getattr(node, "entry", False)]
    found = {name: port for node in entries for name, port in node.inputs.items()}
    for link in links:
        (node, _, port), name = link.target.partition("."), link.source.removeprefix(f"{BATCH}.")
        if name != link.source and port in getattr(nodes.get(node), "inputs", ()):
            found.setdefault(name, nodes[node].inputs[port])
    return found


def told(error: Exception, label: str, where: str) -> SpecloomError:
    """``error`` with a place, and as one of ours that names what failed if it is not."""
    if isinstance(error, Problems):
        return Problems([told(one, label, where) for one in error.errors])
    if isinstance(error, SpecloomError):
        return type(error)(error.what, where=error.where or where, fix=error.fix)
    return NodeError(
        f"{label} failed: {type(error).__name__}: {error}",
        where=where,
        fix="if its inputs are right this is a mistake in the node: tell its author",
    )


class Wiring:
    """The connections that can be, what feeds each input, and everything that is wrong.

    Args:
        nodes: The nodes by name; None for one that could not be made.
        links: The connections as the user wrote them.
        batch: The ports of the data source.
        document: The run file, for the places in messages.
    """

    def __init__(
        self, nodes: Mapping[str, Any], links: Sequence[Link], batch: Mapping[str, Port],
        document: Document,
    ) -> None:  # fmt: skip
        self.nodes = {name: node for name, node in nodes.items() if node is not None}
        self.batch, self.where = batch, document.where
        self.unknowable = nodes.keys() - self.nodes.keys()
        self.assumed: set[str] = set()
        self.problems: list[SpecloomError] = []
        self.feeds: dict[str, dict[str, list[str]]] = {}
        self.links = [link for link in links if self._ends_exist(link)]
        self.links += self._entry_links({link.target for link in self.links})
        self._feed()
        self.links = [link for link in self.links if self._ends_fit(link)]
        self._required()

    def bad(self, what: str, where: str, fix: str, kind: type[SpecloomError] = GraphError) -> None:
        """Note one thing that is wrong."""
        self.problems.append(kind(what, where=where, fix=fix))

    def _ends_exist(self, link: Link) -> bool:
        if not link.source:  # it has no form, and may have been meant for any input
            self.assumed.update(self.nodes)
            return False
        sides = ((link.source, "outputs", "inputs"), (link.target, "inputs", "outputs"))
        good = {self._end_exists(link, *side) for side in sides} == {True}  # both are looked at
        if not good:
            self._assume(*link.target.split("."))
            self.assumed.add(link.source)  # where it was written the wrong way round
        return good

    def _end_exists(self, link: Link, end: str, side: str, other: str) -> bool:
        node, _, port = end.partition(".")
        if node in self.unknowable:
            return False
        if node != BATCH and node not in self.nodes:
            names = [*self.nodes, *self.unknowable]
            self.bad(f"there is no node {node!r}", link.where, did_you_mean(node, names))
            return False
        if port not in (ports := self._side(node, side)):
            fix = did_you_mean(port, ports, otherwise=f"{node} has no {side}")
            if port in self._side(node, other):
                fix = f"{end} is an {other[:-1]}: a connection goes from an output to an input"
                self.assumed.add(end)
            self.bad(f"{node} has no {side[:-1]} {port!r}", link.where, fix)
            return False
        return True

    def _assume(self, node: str, port: str) -> None:
        """Count as fed what a wrong connection may have been meant for: one mistake, one error."""
        if node in self.nodes:
            self.assumed.add(f"{node}.{port}" if port in self.nodes[node].inputs else node)
        elif node not in self.unknowable:
            self.assumed.update(f"{name}.{port}" for name in self.nodes)

    def _entry_links(self, taken: set[str]) -> list[Link]:
        """The connections of entry nodes to the batch, port by port of the same name."""
        entries = [n for n, node in self.nodes.items() if getattr(node, "entry", False)]
        ends = [(n, p, spec) for n in entries for p, spec in self.nodes[n].inputs.items()]
        open_ends = [(n, p, spec) for n, p, spec in ends if f"{n}.{p}" not in taken]
        for name, port, spec in open_ends if self.batch else ():
            if spec.required and port not in self.batch:
                have = ", ".join(sorted(self.batch))
                what = f"{name}.{port} comes from the data, which has no {port!r} (it has {have})"
                self.bad(what, self.where("data"), f"use a source that offers {port!r}")
        return [
            Link(f"{BATCH}.{port}", f"{name}.{port}", self.where("nodes", name))
            for name, port, _ in open_ends
            if port in self.batch
        ]

    def _feed(self) -> None:
        first: dict[str, Link] = {}
        for link in self.links:
            port = link.target.partition(".")[2]
            before = first.setdefault(link.target, link)
            if before is link or self._side(link.taker, "inputs")[port].many:
                self.feeds.setdefault(link.taker, {}).setdefault(port, []).append(link.source)
            else:
                other = f"{before.source} ({before.where or 'first'})"
                what = f"{link.target} is fed by {other} and by {link.source}"
                self.bad(what, link.where, "remove one of the two connections")

    def _ends_fit(self, link: Link) -> bool:
        source, target = link.source.partition(".")[2], link.target.partition(".")[2]
        given = self._side(link.giver, "outputs")[source]
        if why := mismatch(given, self._side(link.taker, "inputs")[target]):
            what = f"{link.source} {why.format(target=link.target)}"
            self.bad(what, link.where, f"connect {link.target} to a value that fits", PortError)
        return not why

    def _required(self) -> None:
        for name, node in self.nodes.items():
            fed = {*self.feeds.get(name, {})} | {p for p in node.inputs if self._hoped(name, p)}
            for port, spec in node.inputs.items() if not getattr(node, "entry", False) else ():
                if spec.required and port not in fed:
                    what = f"{name}.{port} is not fed" + (f" ({spec.doc})" if spec.doc else "")
                    fix = f"add a connection - [node.output, {name}.{port}]"
                    self.bad(what, self.where("nodes", name), fix)

    def _hoped(self, name: str, port: str) -> bool:
        return bool(self.assumed & {name, f"{name}.{port}"})

    def _side(self, node: str, side: str) -> Mapping[str, Port]:
        return side_of(self.nodes, self.batch, node, side)
