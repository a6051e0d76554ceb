"""A graph: nodes and connections, checked, in running order, never changed afterwards."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from specloom.contract.abilities import Fittable, Stateful
from specloom.contract.errors import GraphError, SpecloomError, in_file_order, raise_all
from specloom.contract.nodes import STAGES
from specloom.contract.ports import Connection, Port, node_of, port_of
from specloom.graph.companions import companion_connections, companion_note
from specloom.graph.connections import (
    Connections,
    Incoming,
    entry_connections,
    is_entry,
    needed_batch,
)
from specloom.graph.endpoints import Endpoints
from specloom.graph.order import running_order
from specloom.graph.pixel_inputs import offered_pixels, open_pixel_inputs
from specloom.graph.ported import IMAGE_AXES, build
from specloom.graph.shape_inference import SizeInference, Sizes, Unknown
from specloom.graph.showing import graph_html
from specloom.runfile.names import BATCH, wrong_name
from specloom.runfile.yaml import Document


class MissingData(NamedTuple):
    """What a split does not lead to, for want of data."""

    values: set[str]
    nodes: list[str]


class Graph:
    """Nodes by name and connections between their ports.

    Args:
        nodes: The nodes by name; ``batch`` is reserved for the data. None for a node that could
            not be constructed, which is then among the ``problems``.
        connections: The connections.
        batch: The ports of the data source; entry nodes take their inputs from them by name.
            Without, whatever the nodes need of a source.
        batch_sizes: Sizes of the batch's axes, from the source's headers.
        outputs: Values to be saved under a name: ``{"scores": "rx.scores"}``.
        types: The reference behind each node: ``{"rx": "rx.RXGlobal"}``.
        stages: The stages of nodes that do not run in all.
        document: The run file, for the places in messages.
        splits: The splits in which the source has images.
        missing_outputs: By split, the ports of the source that none of its images has.
        read_options: How the source's files are read, as plain values.
        fitted_on: What is known of the batches that nodes were fitted on, as arrays by name; the
            graph holds the mapping itself, and a fit changes it.
        companions: Whether inputs that belong to others are connected where they are not.
        problems: What is wrong already, to be reported together with what is found here.

    Raises:
        GraphError: The graph cannot work; ``Problems`` where that has several reasons.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        connections: Sequence[Connection],
        *,
        batch: Mapping[str, Port] | None = None,
        batch_sizes: Mapping[str, int] | None = None,
        outputs: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        stages: Mapping[str, tuple[str, ...]] | None = None,
        document: Document | None = None,
        splits: Iterable[str] = STAGES,
        missing_outputs: Mapping[str, Iterable[str]] | None = None,
        read_options: Mapping[str, Any] | None = None,
        fitted_on: dict[str, Any] | None = None,
        companions: bool = True,
        problems: Sequence[SpecloomError] = (),
    ) -> None:
        #: The nodes by name.
        self.nodes = _constructed(nodes)
        self.document = document or Document("")
        self.outputs = dict(outputs or {})
        self.types = dict(types or {})
        self.splits = list(splits)
        self.missing_outputs = _as_lists(missing_outputs or {})
        #: How the files of the source are read that the graph is for.
        self.read_options = dict(read_options or {})
        #: What is known of the batches that nodes were fitted on; saved with their state.
        self.fitted_on: dict[str, Any] = {}
        if fitted_on is not None:
            self.fitted_on = fitted_on
        #: The stages in which each node runs.
        self.stages = _stages(self.nodes, stages or {})
        #: The nodes that take their inputs from the batch by name.
        self.entries = _entries(self.nodes)
        #: The connections that were added because an input belongs to another one.
        self.companions: list[Connection] = []
        if companions:
            self.companions += companion_connections(self.nodes, connections)
        every = [*connections, *self.companions]
        every += entry_connections(self.nodes, connections, batch, self.document)
        if batch is None:
            batch = needed_batch(self.nodes, every)
        #: The ports of the batch.
        self.batch = dict(batch)
        unmade = set(nodes) - set(self.nodes)
        self._endpoints = Endpoints(self.nodes, unmade, self.batch, self.document)
        #: The connections, with those of entry nodes to the batch.
        self.connections = Connections(every, self._endpoints)
        #: The names of the nodes in running order.
        self.order, cycles = running_order(self.nodes, self.connections)
        inference = SizeInference(self._endpoints, self.connections, batch_sizes or {})
        #: The sizes that follow from the graph, by node (or ``batch``) and axis.
        self.inferred_sizes = inference.sizes
        #: The nodes whose sizes do not follow from the graph.
        self.unbuilt: list[str] = []
        self._name_nodes()
        found = list(problems)
        found += self.connections.problems
        found += cycles
        found += inference.problems
        found += self._wrong_stages()
        found += _new_errors(self.wrong_names(), problems)
        found += self._wrong_outputs()
        raise_all(in_file_order(found))
        unbuildable = self._build_nodes()
        raise_all(in_file_order(unbuildable))

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {len(self.connections)} connections)"

    def _repr_html_(self) -> str:
        """The graph as a picture, for notebooks."""
        return graph_html(self)

    def where(self, *keys: str | int) -> str:
        """The place of a key in the run file."""
        return self.document.where(*keys)

    def label(self, name: str) -> str:
        """What messages call a node: its name and class."""
        return self._endpoints.label(name)

    def node_error(self, error: Exception, name: str, *keys: str) -> SpecloomError:
        """``error`` as one that names the node it happened in."""
        return self._endpoints.node_error(error, name, *keys)

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``."""
        return self._endpoints.port(end, side)

    def wrong_end(self, end: str, side: str, where: str = "") -> Iterator[SpecloomError]:
        """What is wrong if ``end``, as ``node.port``, is none of the ``side`` of a node."""
        return self._endpoints.wrong_end(end, side, where)

    def sizes(self, name: str) -> dict[str, int]:
        """The sizes of a node's axes that follow from the graph, but for those of the images."""
        found = {}
        inferred_sizes = self.inferred_sizes[name]
        for axis, inferred in inferred_sizes.items():
            if axis not in IMAGE_AXES:
                found[axis] = inferred.size
        return found

    def incoming(self, name: str, *, fit: bool = False) -> Incoming:
        """The values that come to each connected input of a node, as ``node.port``.

        Args:
            name: The node.
            fit: Whether inputs that only a fit needs count.
        """
        connected = self.connections.incoming[name]
        if fit:
            return dict(connected)
        inputs = self.nodes[name].inputs
        return {port: ends for port, ends in connected.items() if not inputs[port].for_fit}

    def ancestors(
        self,
        ends: Iterable[str],
        among: Iterable[str] | None = None,
        provided: Collection[str] = (),
    ) -> set[str]:
        """Every node that values come from.

        Args:
            ends: The values, as ``node.port``.
            among: The nodes that count; None for all.
            provided: Values that are there already; what only they need does not count.
        """
        if among is None:
            among = self.nodes
        allowed = set(among)
        provided = set(provided)
        found: set[str] = set()
        remaining = list(ends)
        while remaining:
            end = remaining.pop()
            name = node_of(end)
            if end in provided or name in found:
                continue
            if name not in allowed:
                continue
            found.add(name)
            for sources in self.incoming(name).values():
                remaining += sources
        return found

    def missing_data(self, split: str) -> MissingData:
        """What a split does not lead to, because none of its images has some of the data.

        An optional output of an entry node is missing where its input of the same name is; all
        outputs of a node are that lacks a required input.
        """
        missing = self.missing_outputs.get(split, ())
        return self.without(missing)

    def without(self, ports: Iterable[str]) -> MissingData:
        """What does not follow from batches that lack these ports of the source."""
        values = {f"{BATCH}.{port}" for port in ports}
        nodes: list[str] = []
        if not values:
            return MissingData(values, nodes)
        for name in self.order:
            node = self.nodes[name]
            lost = self._inputs_from(name, values)
            if _has_required(node, lost):
                nodes.append(name)
                values |= {f"{name}.{port}" for port in node.outputs}
            elif name in self.entries:
                values |= _lost_outputs(name, node, lost)
        return MissingData(values, nodes)

    def _inputs_from(self, name: str, values: set[str]) -> set[str]:
        """The connected inputs of a node to which nothing but ``values`` comes."""
        found = set()
        for port, ends in self.incoming(name).items():
            if values.issuperset(ends):
                found.add(port)
        return found

    def fittable(self) -> list[str]:
        """The nodes, in running order, that are fitted by statistics."""
        found = []
        for name in self.order:
            node = self.nodes[name]
            if isinstance(node, Fittable) and node.fit_passes:
                found.append(name)
        return found

    def unfitted(self) -> list[str]:
        """Those of them that have not been fitted yet."""
        found = []
        for name in self.fittable():
            node = self.nodes[name]
            if not node.fitted:
                found.append(name)
        return found

    def notes(self) -> list[str]:
        """What to report: added connections, outputs that nothing reads, and open inputs."""
        used = {connection.source for connection in self.connections}
        found = [str(companion_note(added)) for added in self.companions]
        reported: set[str] = set()
        for name, node in self.nodes.items():
            for port, spec in node.outputs.items():
                end = f"{name}.{port}"
                if not spec.unused_note or end in used:
                    continue
                labelled = self._labelled_beside(end)
                unconnected = self._unconnected_namesakes(end)
                if labelled in used and not unconnected.usable:
                    continue
                note = self._unused_note(end, spec, labelled, unconnected)
                found.append(str(note))
                reported.update(unconnected.usable, unconnected.labelled)
        offered = offered_pixels(self.nodes, self.order)
        for one in open_pixel_inputs(self.nodes, self.connections.incoming, offered):
            if one.target not in reported:
                found.append(str(one.note(self.where("nodes", one.node))))
        return found + self.setup_notes()

    def setup_notes(self) -> list[str]:
        """What nodes say of their parameters, each with its place."""
        found = []
        for name, node in self.nodes.items():
            if not hasattr(node, "setup_notes"):
                continue
            for note in node.setup_notes():
                found.append(str(self.node_error(note, name)))
        return found

    def missing_files(self) -> list[SpecloomError]:
        """The weights and the like that nodes load from files which are not there."""
        found = []
        for name, node in self.nodes.items():
            if not hasattr(node, "missing"):
                continue
            for error in node.missing():
                found.append(self.node_error(error, name))
        return found

    def state(self) -> dict[str, Any]:
        """The state of all nodes, by ``node.name``."""
        found: dict[str, Any] = {}
        for name, node in self.nodes.items():
            if not isinstance(node, Stateful):
                continue
            for key, value in node.state().items():
                found[f"{name}.{key}"] = value
        return found

    def wrong_names(self) -> Iterator[SpecloomError]:
        """What is wrong with the names of nodes and outputs."""
        yield from self._wrong_names_among("nodes", self.nodes)
        yield from self._wrong_names_among("outputs", self.outputs)

    def _wrong_names_among(self, side: str, names: Iterable[str]) -> Iterator[SpecloomError]:
        """What is wrong with the names of one side: ``nodes`` or ``outputs``."""
        for name in names:
            wrong = wrong_name(side, name)
            if wrong is not None:
                what, fix = wrong
                where = self.where(side, name)
                yield GraphError(what, where=where, fix=fix)

    def _name_nodes(self) -> None:
        """Let nodes that have a name know what the graph calls them."""
        for name, node in self.nodes.items():
            if hasattr(node, "name"):
                node.name = name

    def _wrong_stages(self) -> Iterator[SpecloomError]:
        """Nodes that run in a stage in which a node that they need does not."""
        for connection in self.connections:
            port = self.port(connection.target, "inputs")
            if not port.required:
                continue
            source = connection.source_node
            target = connection.target_node
            needed = self.stages[target]
            running = self.stages.get(source, STAGES)
            without = [stage for stage in needed if stage not in running]
            if without:
                listed = ", ".join(without)
                what = f"{target} runs in {listed}, but {source}, which it needs, does not"
                common = ", ".join(running)
                fix = f"give {target} stages: [{common}], or let {source} run too"
                yield GraphError(what, where=connection.where, fix=fix)

    def _wrong_outputs(self) -> Iterator[SpecloomError]:
        """Outputs whose values do not exist."""
        for name, end in self.outputs.items():
            where = self.where("outputs", name) or f"output {name!r}"
            yield from self.wrong_end(end, "outputs", where)

    def _build_nodes(self) -> Iterator[SpecloomError]:
        """Build the nodes whose sizes are known; the errors of those that fail."""
        for name in self.order:
            sizes = Sizes(self.sizes(name))
            try:
                build(self.nodes[name], sizes)
            except Unknown:
                self.unbuilt.append(name)
            except Exception as e:
                yield self.node_error(e, name, "config")

    def _labelled_beside(self, end: str) -> str:
        """The output for labelled pixels that can stand in the place of an output, or ``""``."""
        name = node_of(end)
        for port, spec in self.nodes[name].outputs.items():
            if spec.instead_of == port_of(end):
                return f"{name}.{port}"
        return ""

    def _unused_note(
        self,
        end: str,
        spec: Port,
        labelled: str,
        unconnected: "_Namesakes",
    ) -> GraphError:
        """What to report of an output that nothing is connected to."""
        what = f"{end} is not connected: {spec.unused_note}"
        where = self.where("nodes", node_of(end))
        usable = list(unconnected.usable)
        fixes = []
        if not labelled:
            usable += unconnected.labelled
        elif unconnected.labelled:
            fixes.append(f"connect {labelled} to {', '.join(unconnected.labelled)}")
        if usable:
            fixes.insert(0, f"connect it to {', '.join(usable)}")
        fix = ", and ".join(fixes) or f"connect {end} to the inputs that need it"
        return GraphError(what, where=where, fix=fix)

    def _unconnected_namesakes(self, end: str) -> "_Namesakes":
        """The inputs of other nodes that have an output's name, and no connection."""
        port = port_of(end)
        found = _Namesakes([], [])
        for name, node in self.nodes.items():
            if name == node_of(end) or port not in node.inputs:
                continue
            if port in self.connections.incoming[name]:
                continue
            ends = found.usable
            if node.inputs[port].labelled:
                ends = found.labelled
            ends.append(f"{name}.{port}")
        return found


class _Namesakes(NamedTuple):
    """The inputs of the name of an output, as ``node.port``.

    Args:
        usable: Those that take all pixels which may be used.
        labelled: Those where only pixels with a label count.
    """

    usable: list[str]
    labelled: list[str]


def default_stages(node: Any) -> tuple[str, ...]:
    """The stages in which a node runs unless a run file sets others."""
    stages: Iterable[str] = getattr(node, "stages", STAGES)
    return tuple(stages)


def _constructed(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes but for those that could not be constructed."""
    return {name: node for name, node in nodes.items() if node is not None}


def _entries(nodes: Mapping[str, Any]) -> list[str]:
    """The names of the nodes that take their inputs from the batch by name."""
    return [name for name, node in nodes.items() if is_entry(node)]


def _stages(
    nodes: Mapping[str, Any],
    chosen: Mapping[str, tuple[str, ...]],
) -> dict[str, tuple[str, ...]]:
    """The stages of each node: those chosen for it, else those of its class."""
    stages = {name: default_stages(node) for name, node in nodes.items()}
    stages.update(chosen)
    return stages


def _new_errors(
    errors: Iterable[SpecloomError],
    known: Iterable[SpecloomError],
) -> list[SpecloomError]:
    """The errors that are not reported already."""
    texts = {error.what for error in known}
    return [error for error in errors if error.what not in texts]


def _as_lists(by_split: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    return {split: list(ports) for split, ports in by_split.items()}


def _has_required(node: Any, ports: Iterable[str]) -> bool:
    """Whether any of a node's inputs is required."""
    return any(node.inputs[port].required for port in ports)


def _lost_outputs(name: str, node: Any, lost: Iterable[str]) -> set[str]:
    """The optional outputs of an entry node whose inputs of the same name have no data."""
    found = set()
    outputs: Mapping[str, Port] = node.outputs
    for port in lost:
        output = outputs.get(port)
        if output is not None and output.optional:
            found.add(f"{name}.{port}")
    return found
