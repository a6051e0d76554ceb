"""The Python builder: connect nodes by their ports, and save or load the result."""

import re
from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar, overload

from specloom.contract.abilities import Trainable
from specloom.contract.errors import (
    GraphError,
    SpecloomError,
    UnavailableError,
    did_you_mean,
    raise_all,
    warn_of,
)
from specloom.contract.ports import Connection, Port
from specloom.contract.sources import Source, missing_by_split, read_options_of
from specloom.contract.views import PredictionView
from specloom.execution import saved_pipeline
from specloom.execution.one_batch import NoData, OneBatch
from specloom.execution.run import Run
from specloom.graph.ends import wrong_end
from specloom.graph.graph import Graph
from specloom.graph.labelled import LabelledConnections
from specloom.graph.port_attributes import InputRef, OutputRef, PortRef
from specloom.graph.ported import Ported
from specloom.graph.showing import nodes_html
from specloom.plugins import Plugins
from specloom.runfile.form import METADATA
from specloom.runfile.names import BATCH, wrong_name
from specloom.runfile.parameters import current

N = TypeVar("N")
#: Where a connection starts: ``"node.port"``, or the port itself.
From: TypeAlias = str | OutputRef
#: Where a connection ends.
To: TypeAlias = str | InputRef
OTHER_SIDE = {"inputs": "outputs", "outputs": "inputs"}


class Outputs(UserDict[str, str]):
    """The named outputs of a pipeline; each end is checked when it is set.

    Args:
        pipeline: The pipeline that has the nodes.
        ends: The first outputs, ``node.port`` by name.
    """

    def __init__(self, pipeline: "Pipeline", ends: Mapping[str, From]) -> None:
        self._pipeline = pipeline
        super().__init__()
        for name, end in ends.items():
            self[name] = end

    def __setitem__(self, name: str, end: From) -> None:
        """Set an output: ``pipeline.outputs["scores"] = rx.scores``.

        Raises:
            GraphError: There is no such node or port, or it is an input.
        """
        (checked,) = self._pipeline.checked_ends([(end, "outputs")])
        self.data[name] = checked


class Pipeline:
    """A graph in the making.

    ``pipeline.connect((normalizer.normalized, rx.data), (rx.scores, head.scores))`` adds the nodes
    and connects their ports.

    Args:
        name: The name of the pipeline.
        plugins: Where the classes of nodes are looked up when it is saved or loaded.
        companions: Whether inputs that belong to others are connected where they are not, such as
            the weights that data were multiplied by.
    """

    def __init__(
        self,
        name: str = "pipeline",
        plugins: Plugins | None = None,
        *,
        companions: bool = True,
    ) -> None:
        self.name = name
        self.plugins = plugins
        self.companions = companions
        self.nodes: dict[str, Any] = {}
        self.connections: list[Connection] = []
        self.stages: dict[str, tuple[str, ...]] = {}
        self._outputs = Outputs(self, {})
        self._graph: Graph | None = None
        self._fitted_on: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._read_options: dict[str, Any] = {}
        self._run: Run | None = None
        self._run_device = ""

    @property
    def outputs(self) -> Outputs:
        """The values that a run saves, ``node.port`` by name."""
        return self._outputs

    @outputs.setter
    def outputs(self, ends: Mapping[str, From]) -> None:
        self._outputs = Outputs(self, ends)

    def add_node(self, node: Any, name: str = "") -> str:
        """Add a node, and give it a name if it has none; adding it again changes nothing.

        Raises:
            GraphError: Another node has that name.
        """
        for present, one in self.nodes.items():
            if one is node:
                return present
        name = name or getattr(node, "name", "")
        if name in self.nodes:
            raise GraphError(f"there are two nodes named {name!r}", fix="rename one of them")
        if not name:
            name = self._free_name(type(node).__name__)
        if wrong_name("nodes", name):
            fix = f"use letters, digits and _, beginning with a letter, and not {BATCH!r}"
            raise GraphError(f"{name!r} is no name for a node", fix=fix)
        if hasattr(node, "name"):
            node.name = name
        self.nodes[name] = node
        self._graph = None
        return name

    def add(self, name: str, node: N) -> N:
        """Add ``node`` under ``name``, and return it: ``rx = pipeline.add("rx", RXGlobal())``.

        Raises:
            GraphError: Another node has that name, or the node has another name here.
        """
        present = self.add_node(node, name)
        if present != name:
            what = f"{type(node).__name__} is in the pipeline already, as {present!r}"
            raise GraphError(what, fix=f"use {present!r}, or make a second node")
        return node

    @overload
    def connect(self, source: From, target: To, /, *targets: To) -> None: ...
    @overload
    def connect(self, /, *pairs: tuple[From, To]) -> None: ...
    def connect(self, /, *ends: Any) -> None:
        """Connect one output to inputs, or outputs to inputs pair by pair.

        ``connect("data.valid", "rx.valid", logits.valid)`` or
        ``connect((data.cube, rx.data), (rx.scores, logits.scores))``. An end is ``node.port`` or
        the port itself; the node of a port is added if the pipeline does not have it yet.

        Raises:
            GraphError: There is no such node or port, or it is on the wrong side; nothing is
                connected then.
        """
        pairs = _pairs(ends)
        with_sides = []
        for source, target in pairs:
            with_sides.append((source, "outputs"))
            with_sides.append((target, "inputs"))
        nodes = dict(self.nodes)
        try:
            checked = self.checked_ends(with_sides)
        except SpecloomError:
            self.nodes = nodes
            raise
        for source, target in zip(checked[::2], checked[1::2], strict=True):
            self.connections.append(Connection(source, target))
        self._graph = None

    def chain(self, *ends: str | InputRef | OutputRef | Ported) -> None:
        """Connect nodes in a row: ``chain("batch.cube", normalizer, rx, "logits", decider)``.

        A node, or its name, stands for its only required input and for its first output. A port
        names one side of its node, and the other side is chosen alike.

        Raises:
            GraphError: There is no such node or port, or a node has several required inputs.
        """
        pairs = []
        for source, target in pairwise(ends):
            output = self._chained(source, "outputs")
            pairs.append((output, self._chained(target, "inputs")))
        self.connect(*pairs)

    def checked_ends(self, ends: Iterable[tuple[Any, str]]) -> list[str]:
        """Each end, with its side, as ``node.port`` of nodes in the pipeline.

        Raises:
            GraphError: There is no such node or port, or it is on the wrong side.
        """
        written = [(self._written(end, side), side) for end, side in ends]
        checked = []
        problems: list[SpecloomError] = []
        for old_or_present, side in written:
            text = self._present(old_or_present, side)
            checked.append(text)
            is_data = side == "outputs" and text.startswith(f"{BATCH}.")
            if not is_data:
                problems += wrong_end(text, side, self.nodes)
        raise_all(problems)
        return checked

    def _written(self, end: Any, side: str) -> str:
        """An end as ``node.port``; the node of a port is added."""
        if isinstance(end, str) and "." in end:
            return end
        if not isinstance(end, PortRef):
            fix = 'write "node.port", or the port itself: node.port'
            raise GraphError(f"{end!r} is no port", fix=fix)
        if end.side != side:
            what = f"{end} is none of a node's {side}, which belong here"
            raise GraphError(what, fix="write (source.outputs.x, target.inputs.y)")
        name = self.add_node(end.node)
        return f"{name}.{end.port}"

    def _present(self, text: str, side: str) -> str:
        """An end with the present name of its port, with a warning where it was an old one."""
        name, _, port = text.partition(".")
        node = self.nodes.get(name)
        if node is None:
            return text
        ports = _ports(node, side)
        return f"{name}.{current(node, port, ports, name)}"

    def _chained(self, end: Any, side: str) -> Any:
        """The end of ``side`` that a member of a chain stands for."""
        if isinstance(end, str) and end.partition(".")[0] == BATCH:
            return end
        node, port = self._node_and_port(end)
        ports = _ports(node, side)
        name = self.add_node(node)
        is_on_other_side = port not in ports and port in _ports(node, OTHER_SIDE[side])
        if port and not is_on_other_side:
            return f"{name}.{port}"  # a port that is on neither side is refused by connect
        candidates = list(ports)
        if side == "inputs":
            candidates = [one for one in ports if ports[one].required]
        is_ambiguous = side == "inputs" and len(candidates) > 1
        if is_ambiguous or not candidates:
            what = f"{name} has {len(candidates)} {side} that a chain could mean"
            written = [f"{name}.{one}" for one in ports]
            raise GraphError(what, fix=f"write one of: {', '.join(written)}")
        return f"{name}.{candidates[0]}"

    def _node_and_port(self, end: Any) -> tuple[Any, str]:
        """The node of a member of a chain, and the name of its port if one is written."""
        if isinstance(end, PortRef):
            return end.node, end.port
        if isinstance(end, str):
            name, _, port = end.partition(".")
            return self._node(name), port
        return end, ""

    def _node(self, name: str) -> Any:
        """The node of a name.

        Raises:
            GraphError: There is none.
        """
        if name not in self.nodes:
            raise GraphError(f"there is no node {name!r}", fix=did_you_mean(name, self.nodes))
        return self.nodes[name]

    def graph(self, source: Source | None = None) -> Graph:
        """The checked graph for batches of ``source``.

        Raises:
            GraphError: The graph cannot work; ``Problems`` where that has several reasons.
        """
        if source is None and self._graph and self._graph.outputs == self.outputs:
            return self._graph
        labelled = LabelledConnections(self.nodes, self.connections)
        self.connections = labelled.connections
        for note in labelled.notes:
            warn_of(note)
        options: dict[str, Any] = {
            "outputs": dict(self.outputs),
            "stages": self.stages,
            "companions": self.companions,
            "fitted_on": self._fitted_on,
        }
        options["batch_sizes"] = self._sizes
        options["read_options"] = self._read_options
        if source:
            options["missing_outputs"] = missing_by_split(source)
            options["read_options"] = read_options_of(source)
            options["batch"] = source.outputs
            options["batch_sizes"] = source.sizes()
            options["splits"] = source.splits()
        self._graph = Graph(self.nodes, self.connections, **options)
        self._remember(self._graph)
        return self._graph

    def _remember(self, graph: Graph) -> None:
        """Remember what follows from the data of a graph, for graphs without data."""
        self._sizes = {**self._sizes, **graph.sizes(BATCH)}
        self._read_options = graph.read_options

    def fit(self, cube: Any, /, *, device: str = "auto", **inputs: Any) -> Self:
        """Fit every node that learns from a stream on one array, and return the pipeline itself.

        Args:
            cube: (H, W, C) or (B, H, W, C) of NumPy, torch or xarray.
            device: ``auto``, ``cpu`` or ``cuda``.
            inputs: What else the nodes read of the data, by name: ``valid=``, ``mask=``,
                ``wavelengths=``.

        Raises:
            GraphError: The graph cannot work, or reads no cube.
            PortError: An array does not fit.
            UnavailableError: The plugin ``training`` is not installed.
        """
        plugins = self.plugins or Plugins()
        source = self._batch_source(cube, inputs, plugins)
        graph = self.graph(source)
        run = Run(graph, source, plugins=plugins, device=device, metadata={"name": self.name})
        if graph.fittable() and plugins.first_answer("fit_pipeline", run=run) is None:
            fix = "run: specloom plugins add training, or: pip install specloom-training"
            raise UnavailableError("no plugin fits pipelines", fix=fix)
        self._run = None
        return self

    def predict(self, cube: Any, /, *, device: str = "auto", **options: Any) -> PredictionView:
        """Apply the fitted pipeline to a cube, tile by tile where it is large.

        The values equal those of ``specloom predict`` bit for bit. Without declared outputs they
        are the maps that no node reads, and those that are called ``scores``.

        Args:
            cube: A file, or an array (H, W, C) or (B, H, W, C) of NumPy, torch or xarray.
            device: ``auto``, ``cpu`` or ``cuda``.
            options: As for ``Run.predict``, such as ``valid=`` and ``wavelengths=``.

        Raises:
            NodeError: A node is not fitted.
            DataError: The cube does not fit the pipeline.
            UnavailableError: The plugin ``predict`` is not installed.
        """
        graph = self.graph()
        if graph.unbuilt and not isinstance(cube, str | PathLike):
            plugins = self.plugins or Plugins()
            self._sizes = dict(self._batch_source(cube, {}, plugins).sizes())
            self._graph = None
            graph = self.graph()
        return self._run_of(graph, device).predict(cube, **options)

    def _run_of(self, graph: Graph, device: str) -> Run:
        """A run that applies a graph, made once for each graph and device."""
        run = self._run
        if run is None or run.graph is not graph or self._run_device != device:
            plugins = self.plugins or Plugins()
            metadata = {"name": self.name}
            run = Run(graph, NoData(), plugins=plugins, device=device, metadata=metadata)
            self._run = run
            self._run_device = device
        return run

    def _batch_source(self, cube: Any, inputs: Mapping[str, Any], plugins: Plugins) -> OneBatch:
        """Arrays as the only batch of a source.

        Raises:
            GraphError: No node reads the data.
        """
        needed = self.graph().batch
        if not needed:
            fix = f"connect it: pipeline.connect('{BATCH}.cube', node.data)"
            raise GraphError("no node of the pipeline reads the data", fix=fix)
        ports = _cube_first(needed)
        taken = plugins.runtime().take_batch(ports, cube, inputs, f"the pipeline {self.name!r}")
        return OneBatch(taken.values, ports, taken.sizes())

    def unfreeze_nodes_by_name(self, names: Iterable[str]) -> None:
        """Unfreeze the named nodes for gradient training.

        Raises:
            GraphError: There is no such node, or it has nothing to train.
        """
        for node in list(self._trainable(names)):
            node.unfreeze()
            if not list(node.parameters()):
                what = f"node {node.name!r} has nothing to train yet: its sizes are not known"
                raise GraphError(what, fix="call pipeline.graph(source) before")

    def freeze_nodes_by_name(self, names: Iterable[str]) -> None:
        """Freeze the named nodes again.

        Raises:
            GraphError: There is no such node, or it has nothing to train.
        """
        for node in list(self._trainable(names)):
            node.freeze()

    def serialize(self) -> dict[str, Any]:
        """The pipeline as a run file would hold it: nodes, connections and outputs."""
        return saved_pipeline.to_dict(self.graph(), self.plugins or Plugins())

    def save_to_file(self, path: str | Path, metadata: Any = None) -> None:
        """Write ``path`` (YAML) and the weights beside it, as ``execution/saved_pipeline.py`` does.

        Args:
            path: The YAML file; the weights get the same name with ``.safetensors``.
            metadata: A mapping or an object with name, description, tags and author.
        """
        about = {"name": self.name, **_metadata(metadata)}
        saved_pipeline.save(Path(path), self.graph(), about, self.plugins or Plugins())

    @classmethod
    def load(cls, path: str | Path, plugins: Plugins | None = None) -> Self:
        """A saved pipeline, with its fitted state.

        Args:
            path: The folder of a run, its ``pipeline.yaml``, or the weights beside that.
            plugins: Where names are looked up; by default the nearest manifest, else what is
                installed.

        Raises:
            IntegrityError: The files are not what they say they are.
        """
        file = saved_pipeline.file_of(Path(path))
        graph, metadata = saved_pipeline.load(file, plugins)
        return cls.of(graph, metadata.get("name", file.stem), plugins)

    @classmethod
    def of(cls, graph: Graph, name: str = "pipeline", plugins: Plugins | None = None) -> Self:
        """A pipeline of the nodes of a graph, which it shares: ``Pipeline.of(run.graph)``."""
        pipeline = cls(name, plugins, companions=False)
        for connection in graph.connections:
            if not graph.connections.is_implied(connection):
                pipeline.connections.append(connection)
        pipeline.nodes = dict(graph.nodes)
        pipeline.outputs = graph.outputs
        pipeline.stages = dict(graph.stages)
        pipeline._graph = graph
        pipeline._fitted_on = graph.fitted_on
        pipeline._remember(graph)
        return pipeline

    def __repr__(self) -> str:
        counts = f"{len(self.nodes)} nodes, {len(self.connections)} connections"
        return f"Pipeline({self.name!r}: {counts})"

    def _repr_html_(self) -> str:
        """The nodes and what each is connected to, for notebooks."""
        heading = f"<p><code>{escape(repr(self))}</code></p>"
        return heading + nodes_html(self.nodes, self.connections)

    def _trainable(self, names: Iterable[str]) -> Iterator[Any]:
        for name in names:
            node = self._node(name)
            if not isinstance(node, Trainable) or not getattr(node, "trainable", True):
                raise GraphError(f"node {name!r} has nothing to train", fix=f"leave {name!r} out")
            yield node

    def _free_name(self, cls: str) -> str:
        """``RXGlobal`` as ``rx_global``, then ``rx_global_2``; ``IoULoss`` as ``iou_loss``."""
        base = re.sub(r"(?<=[a-z0-9]{2})(?=[A-Z])|(?<=\w)(?=[A-Z][a-z])", "_", cls).lower()
        name = base
        number = 1
        while name in self.nodes:
            number += 1
            name = f"{base}_{number}"
        return name


def _pairs(ends: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """What ``connect`` takes, as pairs of a source and a target.

    Raises:
        GraphError: It is neither pairs, nor an output and inputs.
    """
    tuples = [end for end in ends if isinstance(end, tuple)]
    are_pairs = all(len(one) == 2 for one in tuples)
    if are_pairs and len(tuples) == len(ends):
        return tuples
    if tuples or len(ends) < 2:
        fix = "write connect(output, input, …) or connect((output, input), …)"
        raise GraphError("connect takes an output and its inputs, or pairs of both", fix=fix)
    source, *targets = ends
    return [(source, target) for target in targets]


def _cube_first(ports: Mapping[str, Port]) -> dict[str, Port]:
    """Ports with the one of the cube first: that called ``cube`` or ``data``, or else the first."""
    names = [name for name in ("cube", "data") if name in ports]
    first = next(iter([*names, *ports]))
    return {first: ports[first], **ports}


def _ports(node: Any, side: str) -> Mapping[str, Port]:
    ports: Mapping[str, Port] = node.inputs
    if side == "outputs":
        ports = node.outputs
    return ports


def _metadata(about: Any) -> dict[str, Any]:
    """What a mapping or an object says of name, description, tags and author."""
    values = about
    if not isinstance(about, Mapping):
        values = vars(about or object)
    return {key: values[key] for key in METADATA if values.get(key)}
