"""A graph: nodes and connections, checked, in running order, never changed afterwards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from specloom.contract.abilities import Fittable, Stateful
from specloom.contract.errors import GraphError, SpecloomError, in_file_order, raise_all
from specloom.contract.nodes import STAGES
from specloom.contract.ports import Connection, Port
from specloom.graph.connections import BATCH, Wiring, wrong_name
from specloom.graph.ported import IMAGE_AXES, build
from specloom.graph.shape_inference import Propagation, Sizes, Unknown
from specloom.runfile.yaml import Document


class Graph(Wiring):
    """Nodes by name and connections between their ports.

    Args:
        nodes: The nodes by name; ``batch`` is kept for the data.
        links: The connections.
        batch: The ports of the data source; entry nodes take their inputs from them by name.
            Without, whatever the nodes ask of a source.
        given: Sizes of the batch's axes, from the source's headers.
        outputs: Values to be kept under a name: ``{"scores": "rx.scores"}``.
        types: The reference behind each node: ``{"rx": "rx.RXGlobal"}``.
        stages: The stages of nodes that do not run in all.
        splits: The splits in which the source has images.
        lacks: By split, the ports of the source that none of its images has, such as ``mask``.
        document: The run file, for the places in messages.
        earlier: What is wrong already, to be told together with what is found here; a node
            that could not be made is then None.

    Raises:
        GraphError: The graph cannot work; ``Problems`` where that has several reasons.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        links: Sequence[Connection],
        *,
        batch: Mapping[str, Port] | None = None,
        given: Mapping[str, int] | None = None,
        outputs: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        stages: Mapping[str, tuple[str, ...]] | None = None,
        document: Document | None = None,
        splits: Iterable[str] = STAGES,
        earlier: Sequence[SpecloomError] = (),
        missing_outputs: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        super().__init__(nodes, links, batch, document or Document(""))
        self.outputs, self.types, self.splits = dict(outputs or {}), dict(types or {}), [*splits]
        self.missing_outputs = {split: [*ports] for split, ports in (missing_outputs or {}).items()}
        own = {name: tuple(getattr(node, "stages", STAGES)) for name, node in self.nodes.items()}
        self.stages = {**own, **(stages or {})}
        for name, node in self.nodes.items():
            if hasattr(node, "name"):
                node.name = name
        self.order, self.unbuilt = list(self.nodes), list[str]()
        sizes = Propagation(self, given or {})
        self.known, conflicts = sizes.known, sizes.problems.values()
        self.problems = [*earlier, *self.problems, *self._sort(), *conflicts, *self._wrong_stages()]
        known = {error.what for error in earlier}
        self.problems += [error for error in self.wrong_names() if error.what not in known]
        for name, end in self.outputs.items():
            where = self.where("outputs", name) or f"output {name!r}"
            self.problems += self.wrong_end(end, "outputs", where)
        raise_all(in_file_order(self.problems or self._build()))

    def sizes(self, name: str) -> dict[str, int]:
        """The sizes of a node's axes that follow from the graph, but for those of the images."""
        return {a: one.size for a, one in self.known[name].items() if a not in IMAGE_AXES}

    def feeding(self, name: str, *, fit: bool = False) -> dict[str, list[str]]:
        """The values that feed each connected input of a node; with ``for_fit`` ones on request."""
        inputs = self.nodes[name].inputs
        return {p: ends for p, ends in self.feeds[name].items() if fit or not inputs[p].for_fit}

    def ancestors(
        self, ends: Iterable[str], among: Iterable[str] | None = None, given: Iterable[str] = ()
    ) -> set[str]:
        """Every node (``among`` these) that ``ends`` come from, but for values that are given."""
        found, allowed = set[str](), set(self.nodes if among is None else among)
        todo = [*ends]
        while todo:
            name = (end := todo.pop()).partition(".")[0]
            if end not in given and name in allowed - found:
                found.add(name)
                todo += [end for several in self.feeding(name).values() for end in several]
        return found

    def absent(self, split: str) -> set[str]:
        """The values, as ``node.port``, that no batch of a split leads to.

        An optional output of an entry node is absent where its input of the same name is; all
        outputs of a starved node are.
        """
        return self._without(split)[0]

    def starved(self, split: str) -> list[str]:
        """The nodes, in running order, that cannot run on a split: it lacks what they need."""
        return self._without(split)[1]

    def _without(self, split: str) -> tuple[set[str], list[str]]:
        absent = {f"{BATCH}.{port}" for port in self.missing_outputs.get(split, ())}
        starved = list[str]()
        for name in self.order if absent else ():
            node, feeds = self.nodes[name], self.feeding(name)
            lost = {port for port, ends in feeds.items() if absent.issuperset(ends)}
            if any(node.inputs[port].required for port in lost):
                starved.append(name)
                absent |= {f"{name}.{port}" for port in node.outputs}
            elif name in self.entries:
                gone = {port for port in lost if port in node.outputs}
                absent |= {f"{name}.{port}" for port in gone if node.outputs[port].optional}
        return absent, starved

    def fittable(self) -> list[str]:
        """The nodes, in running order, that are fitted by statistics."""
        return [
            n for n in self.order if isinstance(one := self.nodes[n], Fittable) and one.fit_passes
        ]

    def unfitted(self) -> list[str]:
        """Those of them that have had no fit yet."""
        return [name for name in self.fittable() if not self.nodes[name].fitted]

    def unread(self) -> Iterator[str]:
        """What is said of each node that tells which pixels count, where nobody listens."""
        read = {link.source for link in self.links}
        for n in (n for n, one in self.nodes.items() if "valid" in one.outputs):
            what = f"{n}.valid is read by nobody, so every pixel counts"
            fix = f"connect {n}.valid to the 'valid' inputs of fits, losses and metrics"
            if f"{n}.valid" not in read:
                yield str(GraphError(what, where=self.where("nodes", n), fix=fix))

    def missing(self) -> list[SpecloomError]:
        """The weights and the like that nodes load from files which are not there."""
        each = {name: getattr(node, "missing", tuple) for name, node in self.nodes.items()}
        return [self.told(error, name) for name, found in each.items() for error in found()]

    def state(self) -> dict[str, Any]:
        """Everything that nodes keep, by ``node.name``."""
        keepers = {name: node for name, node in self.nodes.items() if isinstance(node, Stateful)}
        return {f"{n}.{key}": v for n, node in keepers.items() for key, v in node.state().items()}

    def wrong_names(self) -> Iterator[SpecloomError]:
        """What is wrong with the names of nodes and outputs: no file may be named after a path."""
        sides = {"nodes": self.nodes, "outputs": self.outputs}
        for side, named in sides.items():
            for name in named:
                wrong = wrong_name(side, name)
                if wrong:
                    yield GraphError(wrong[0], where=self.where(side, name), fix=wrong[1])

    def _sort(self) -> Iterator[SpecloomError]:
        before = {
            n: [link.source_node for link in self.links if link.target_node == n]
            for n in self.nodes
        }
        try:
            self.order = [n for n in TopologicalSorter(before).static_order() if n != BATCH]
        except CycleError as e:
            ring = e.args[1]
            closing = next(
                link for link in self.links if {link.source_node, link.target_node} <= {*ring}
            )
            what = f"the connections make a cycle: {' -> '.join(ring)}"
            yield GraphError(what, where=closing.where, fix="remove one of its connections")

    def _wrong_stages(self) -> Iterator[SpecloomError]:
        for link in self.links:
            upstream, downstream = link.source_node, link.target_node
            running = self.stages.get(upstream, STAGES)
            missing = ", ".join(stage for stage in self.stages[downstream] if stage not in running)
            if missing and self.port(link.target, "inputs").required:
                what = f"{downstream} runs in {missing}, but {upstream}, which feeds it, does not"
                fix = f"give {downstream} stages: [{', '.join(running)}], or let {upstream} run too"
                yield GraphError(what, where=link.where, fix=fix)

    def _build(self) -> Iterator[SpecloomError]:
        for name in self.order:
            try:
                build(self.nodes[name], Sizes(self.sizes(name)))
            except Unknown:
                self.unbuilt.append(name)
            except Exception as e:
                yield self.told(e, name, "config")
