"""A graph: nodes and connections, checked, in running order, never changed afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from specloom.errors import SpecloomError, did_you_mean, in_file_order, raise_all
from specloom.node import STAGES, Fits, Keeps
from specloom.ported import IMAGE_AXES, build
from specloom.sizes import Axis, Known, Link, Sizes, Unknown, propagate
from specloom.wiring import BATCH, Wiring, side_of, told
from specloom.yamlfile import Document

if TYPE_CHECKING:
    from specloom.ports import Port


class Graph:
    """Nodes by name and connections between their ports.

    Args:
        nodes: The nodes by name; ``batch`` is kept for the data.
        links: The connections.
        batch: The ports of the data source; entry nodes take their inputs from them by name.
        given: Sizes of the batch's axes, from the source's headers.
        outputs: Values to be kept under a name: ``{"scores": "rx.scores"}``.
        types: The reference behind each node: ``{"rx": "rx.RXGlobal"}``.
        stages: The stages of nodes that do not run in all.
        document: The run file, for the places in messages.
        earlier: What is wrong already, to be told together with what is found here; a node
            that could not be made is then None.

    Raises:
        GraphError: The graph cannot work; ``Problems`` where that has several reasons.
    """

    def __init__(
        self, nodes: Mapping[str, Any], links: Sequence[Link], *,
        batch: Mapping[str, Port] | None = None, given: Mapping[str, int] | None = None,
        outputs: Mapping[str, str] | None = None, types: Mapping[str, str] | None = None,
        stages: Mapping[str, tuple[str, ...]] | None = None, document: Document | None = None,
        earlier: Sequence[SpecloomError] = (),
    ) -> None:  # fmt: skip
        self.document = document or Document("")
        self.where = self.document.where
        self.batch, self.given = dict(batch or {}), dict(given or {})
        self.outputs, self.types = dict(outputs or {}), dict(types or {})
        wiring = Wiring(nodes, links, self.batch, self.document)
        self.nodes, self.links, self.feeds = wiring.nodes, wiring.links, wiring.feeds
        self.problems, self._bad = wiring.problems, wiring.bad
        self.problems[:0] = earlier
        own = {name: tuple(getattr(node, "stages", STAGES)) for name, node in self.nodes.items()}
        self.stages = {**own, **(stages or {})}
        for name, node in self.nodes.items():
            if hasattr(node, "name"):
                node.name = name
        self.order = self._sort()
        self.known = self._sizes()
        self._stages_agree()
        self._outputs_exist(wiring.unknowable)
        self.unbuilt = [] if self.problems else self._build()
        raise_all(in_file_order(self.problems))

    def by_name(self, link: Link) -> bool:
        """Whether a connection needs not be written: an entry node's to the batch, by name."""
        (start, source), (node, target) = link.source.split("."), link.target.split(".")
        return start == BATCH and source == target and getattr(self.nodes[node], "entry", False)

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``."""
        node, _, name = end.partition(".")
        return side_of(self.nodes, self.batch, node, side)[name]

    def size(self, node: str, axis: str) -> int | None:
        """The size of a node's axis, or None where it does not follow from the graph."""
        known = self.known.get((node, axis))
        return known.size if known else None

    def feeding(self, name: str, *, fit: bool = False) -> dict[str, list[str]]:
        """The values that feed each connected input of a node; with ``for_fit`` ones on request."""
        return {
            port: ends
            for port, ends in self.feeds.get(name, {}).items()
            if fit or not self.nodes[name].inputs[port].for_fit
        }

    def label(self, name: str) -> str:
        """What messages call a node: its name and class."""
        return f"node {name!r} ({type(self.nodes[name]).__name__})"

    def ancestors(self, ends: Iterable[str], among: Iterable[str] | None = None) -> set[str]:
        """Every node (``among`` these) that the values ``ends`` come from, their own included."""
        found, allowed = set[str](), set(self.nodes if among is None else among)
        todo = [end.partition(".")[0] for end in ends]
        while todo:
            name = todo.pop()
            if name in allowed - found:
                found.add(name)
                todo += [e.partition(".")[0] for v in self.feeding(name).values() for e in v]
        return found

    def fittable(self) -> list[str]:
        """The nodes, in running order, that are fitted by statistics."""
        nodes = self.nodes
        return [n for n in self.order if isinstance(node := nodes[n], Fits) and node.fit_passes]

    def unfitted(self) -> list[str]:
        """Those of them that have had no fit yet."""
        return [name for name in self.fittable() if not self.nodes[name].fitted]

    def state(self) -> dict[str, Any]:
        """Everything that nodes keep, by ``node.name``."""
        return {
            f"{name}.{key}": value
            for name, node in self.nodes.items()
            if isinstance(node, Keeps)
            for key, value in node.state().items()
        }

    def _sort(self) -> list[str]:
        before: dict[str, set[str]] = {name: set() for name in self.nodes}
        for link in (link for link in self.links if link.giver != BATCH):
            before[link.taker].add(link.giver)
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError as e:
            ring = e.args[1]
            closing = next(link for link in self.links if {link.giver, link.taker} <= {*ring})
            what, fix = " -> ".join(ring), "remove one of its connections"
            self._bad(f"the connections make a cycle: {what}", closing.where, fix)
            return list(self.nodes)

    def _sizes(self) -> dict[Axis, Known]:
        def place(node: str, parameter: str) -> str:
            if not parameter:
                return self.where("nodes", node)
            return self.document.places.get(("nodes", node, "config", parameter), "")

        known, problems = propagate(self.nodes, self.links, self.port, self.given, place)
        self.problems += problems
        return known

    def _stages_agree(self) -> None:
        for link in self.links:
            if link.giver == BATCH or not self.port(link.target, "inputs").required:
                continue
            running = self.stages[link.giver]
            if missing := ", ".join(s for s in self.stages[link.taker] if s not in running):
                what = f"{link.taker} runs in {missing}, but {link.giver}, which feeds it, does not"
                fix = (
                    f"give {link.taker} stages: [{', '.join(running)}], or let {link.giver} run too"
                )
                self._bad(what, link.where, fix)

    def _outputs_exist(self, unknowable: Iterable[str]) -> None:
        for name, end in self.outputs.items():
            node, _, port = end.partition(".")
            where = self.where("outputs", name)
            if node not in (*self.nodes, *unknowable):
                what = f"output {name!r} names the node {node!r}, which does not exist"
                self._bad(what, where, did_you_mean(node, self.nodes))
            elif node in self.nodes and port not in (ports := self.nodes[node].outputs):
                fix = did_you_mean(port, ports, otherwise=f"{node} has no outputs")
                self._bad(f"output {name!r}: {node} has no output {port!r}", where, fix)

    def _build(self) -> list[str]:
        unbuilt = []
        for name in self.order:
            known = {a: one.size for (node, a), one in self.known.items() if node == name}
            sizes = {axis: size for axis, size in known.items() if axis not in IMAGE_AXES}
            try:
                build(self.nodes[name], Sizes(sizes))
            except Unknown:
                unbuilt.append(name)
            except Exception as e:
                where = self.where("nodes", name, "config")
                self.problems.append(told(e, self.label(name), where))
        return unbuilt
