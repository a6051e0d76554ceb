"""Whether connections can be: their ends exist and fit, and every needed input is fed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        nodes: The nodes by name.
        links: The connections as the user wrote them.
        batch: The ports of the data source.
        document: The run file, for the places in messages.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        links: Sequence[Link],
        batch: Mapping[str, Port],
        document: Document,
    ) -> None:
        self.nodes, self.batch, self.where = nodes, batch, document.where
        self.unknowable = {name for name, node in nodes.items() if node is None}
        self.assumed: set[str] = set()
        self.problems: list[SpecloomError] = []
        self.feeds: dict[str, dict[str, list[str]]] = {}
        written = [link for link in links if self._ends_exist(link)]
        self.links = [*written, *self._entry_links({link.target for link in written})]
        self._feed()
        self.links = [link for link in self.links if self._ends_fit(link)]
        self._required()

    def _ends_exist(self, link: Link) -> bool:
        good = True
        for end, side, other in (
            (link.source, "outputs", "inputs"),
            (link.target, "inputs", "outputs"),
        ):
            node, _, port = end.partition(".")
            if not end:  # it has no form, and may have been meant for any input
                self.assumed.update(self.nodes)
                return False
            if node in self.unknowable:
                good = False
            elif node != BATCH and node not in self.nodes:
                self._bad(f"there is no node {node!r}", link.where, did_you_mean(node, self.nodes))
                good = False
            elif port not in (ports := self._side(node, side)):
                fix = did_you_mean(port, ports, otherwise=f"{node} has no {side}")
                if port in self._side(node, other):
                    fix = f"{end} is an {other[:-1]}: a connection goes from an output to an input"
                self._bad(f"{node} has no {side[:-1]} {port!r}", link.where, fix)
                good = False
        if not good:
            self._assume(*link.target.split("."))
        return good

    def _assume(self, node: str, port: str) -> None:
        """Count as fed what a wrong connection may have been meant for: one mistake, one error."""
        if node in self.nodes:
            known = self.nodes[node] is None or port in self.nodes[node].inputs
            self.assumed.add(f"{node}.{port}" if known else node)
        else:
            self.assumed.update(f"{name}.{port}" for name in self.nodes)

    def _entry_links(self, taken: set[str]) -> list[Link]:
        found = []
        for name, node in self._known():
            for port, spec in node.inputs.items() if getattr(node, "entry", False) else ():
                if f"{name}.{port}" in taken:
                    continue
                if port in self.batch:
                    found.append(
                        Link(f"{BATCH}.{port}", f"{name}.{port}", self.where("nodes", name))
                    )
                elif spec.required and self.batch:
                    have = ", ".join(sorted(self.batch))
                    self._bad(
                        f"{name}.{port} comes from the data, which has no {port!r} (it has {have})",
                        self.where("data"),
                        f"use a source that offers {port!r}",
                    )
        return found

    def _feed(self) -> None:
        first: dict[str, Link] = {}
        for link in self.links:
            node, _, port = link.target.partition(".")
            if link.target in first and not self._side(node, "inputs")[port].many:
                before = first[link.target]
                self._bad(
                    f"{link.target} is fed by {before.source} ({before.where or 'first'}) "
                    f"and by {link.source}",
                    link.where,
                    "remove one of the two connections",
                )
                continue
            first[link.target] = link
            self.feeds.setdefault(node, {}).setdefault(port, []).append(link.source)

    def _ends_fit(self, link: Link) -> bool:
        (a, source), (b, target) = (end.split(".") for end in (link.source, link.target))
        why = mismatch(self._side(a, "outputs")[source], self._side(b, "inputs")[target])
        if why:
            self.problems.append(
                PortError(
                    f"{link.source} {why.format(target=link.target)}",
                    where=link.where,
                    fix=f"connect {link.target} to a value that fits",
                )
            )
        return not why

    def _required(self) -> None:
        for name, node in self._known():
            for port, spec in node.inputs.items():
                entry = getattr(node, "entry", False)
                assumed = self.assumed & {name, f"{name}.{port}"}
                fed = port in self.feeds.get(name, {}) or assumed
                if spec.required and not entry and not fed:
                    self._bad(
                        f"{name}.{port} is not fed" + (f" ({spec.doc})" if spec.doc else ""),
                        self.where("nodes", name),
                        f"add a connection - [node.output, {name}.{port}]",
                    )

    def _known(self) -> Iterator[tuple[str, Any]]:
        return ((name, node) for name, node in self.nodes.items() if node is not None)

    def _side(self, node: str, side: str) -> Mapping[str, Port]:
        return side_of(self.nodes, self.batch, node, side)

    def _bad(self, what: str, where: str, fix: str) -> None:
        self.problems.append(GraphError(what, where=where, fix=fix))
