"""Assemble a graph with its source and phases from a run file, step by step."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from specloom.assembly.absent_data import absent_data_problems
from specloom.assembly.construct import Constructor
from specloom.assembly.phase_order import phase_order_problems, stale_thresholds
from specloom.contract.abilities import Loss
from specloom.contract.errors import (
    GraphError,
    SpecloomError,
    as_specloom_error,
    in_file_order,
    raise_all,
    warn_of,
)
from specloom.contract.nodes import STAGES
from specloom.contract.phases import LossMinimiser, Trainer
from specloom.contract.ports import Connection, Port, node_of, port_of
from specloom.contract.sources import Source, missing_by_split, read_options_of
from specloom.graph.graph import Graph
from specloom.graph.labelled import LabelledConnections
from specloom.plugins import Plugins
from specloom.runfile import parameters
from specloom.runfile.form import COMPANIONS_ON, Component, RunFile
from specloom.runfile.names import BATCH

Trainers: TypeAlias = Sequence[Trainer[Graph, Any]]


class Assembly(NamedTuple):
    """What a run file describes.

    Args:
        graph: The checked graph.
        source: Where batches come from; None in a saved pipeline.
        phases: The phases, each with its reference.
    """

    graph: Graph
    source: Any
    phases: list[tuple[str, Trainer[Graph, Any]]]


class _Data(NamedTuple):
    """What a graph needs to know of its source."""

    source: Any = None
    ports: Mapping[str, Port] | None = None
    sizes: Mapping[str, int] = {}
    splits: Sequence[str] = STAGES
    missing_outputs: Mapping[str, list[str]] = {}
    read_options: Mapping[str, Any] = {}


class _Nodes(NamedTuple):
    """The nodes by name; None for one that could not be constructed."""

    instances: dict[str, Any]
    types: dict[str, str]
    stages: dict[str, tuple[str, ...]]


def assemble(
    file: RunFile,
    problems: Sequence[SpecloomError],
    plugins: Plugins,
) -> Assembly:
    """Construct and check everything that a run file names; no pixel is read.

    Args:
        file: The run file.
        problems: What is wrong with its form, to be reported together with the rest.
        plugins: Where names are looked up.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` where it is several things.
    """
    found = list(problems)
    is_saved = bool(file.state)
    constructor = Constructor(file.document, plugins, found, saved=is_saved)
    data = _construct_source(file, constructor)
    nodes = _construct_nodes(file, constructor)
    phases = [constructor.construct(phase, "trainers") for phase in file.phases]
    names = _PresentNames(nodes.instances, data.source)
    outputs = _outputs(file, names)
    written = _connections(file, names)
    labelled = LabelledConnections(nodes.instances, written)
    if not file.state:  # a saved pipeline cannot be edited
        for note in labelled.notes:
            warn_of(note)
    graph = Graph(
        nodes.instances,
        labelled.connections,
        batch=data.ports,
        batch_sizes=data.sizes,
        outputs=outputs,
        types=nodes.types,
        stages=nodes.stages,
        document=file.document,
        splits=data.splits,
        missing_outputs=data.missing_outputs,
        read_options=data.read_options,
        companions=not is_saved and file.companions in COMPANIONS_ON,
        problems=found,
    )
    trainers = [phase.instance for phase in phases]
    raise_all(_phase_problems(file, graph, trainers))
    raise_all(_unused_losses(graph, trainers))
    labels = [phase.label for phase in phases]
    late = phase_order_problems(graph, trainers, labels)
    if not late:
        late = stale_thresholds(graph, trainers, labels)
    late += absent_data_problems(graph, data.source)
    raise_all(in_file_order(late))
    with_labels = [(phase.label, phase.instance) for phase in phases]
    return Assembly(graph, data.source, with_labels)


def _construct_source(file: RunFile, constructor: Constructor) -> _Data:
    """The source, and what it says of its data; of a saved pipeline, what the file says."""
    label, source = constructor.construct(file.data, "sources")
    data = _Data(sizes=file.batch, read_options=file.reading)
    if source is None:
        return data
    ports = getattr(source, "outputs", None)
    data = data._replace(source=source, ports=ports)
    try:
        sizes = source.sizes()
        splits = list(source.splits())
        data = data._replace(sizes=sizes, splits=splits)
        missing = missing_by_split(source)
        read_options = read_options_of(source)
        return data._replace(missing_outputs=missing, read_options=read_options)
    except Exception as e:
        where = file.document.where("data")
        error = as_specloom_error(e, label, where)
        constructor.problems.append(error)
        return data


def _construct_nodes(file: RunFile, constructor: Constructor) -> _Nodes:
    """The nodes, the reference behind each, and the stages that the file sets."""
    nodes = _Nodes({}, {}, {})
    for name, component in file.nodes.items():
        label, instance = constructor.construct(component, "nodes", "losses")
        nodes.instances[name] = instance
        nodes.types[name] = label
        if component.stages:
            nodes.stages[name] = tuple(component.stages)
    return nodes


class _PresentNames:
    """Replaces old names of ports by the present ones, with a warning."""

    def __init__(self, nodes: Mapping[str, Any], source: Source | None) -> None:
        self._owners = dict(nodes)
        self._owners[BATCH] = source

    def of(self, end: str, side: str, where: str) -> str:
        """``end``, as ``node.port``, with its port's present name."""
        name = node_of(end)
        port = port_of(end)
        owner = self._owners.get(name)
        known = getattr(owner, side, ())
        present = parameters.current(owner, port, known, name, where)
        return end.removesuffix(port) + present


def _outputs(file: RunFile, names: _PresentNames) -> dict[str, str]:
    """The values that are saved under a name."""
    outputs = {}
    for name, end in file.outputs.items():
        where = file.document.where("outputs", name)
        outputs[name] = names.of(end, "outputs", where)
    return outputs


def _connections(file: RunFile, names: _PresentNames) -> list[Connection]:
    """The connections, each with its place in the file."""
    connections = []
    for number, (source, target) in enumerate(file.connections):
        where = file.document.where("connections", number)
        present_source = names.of(source, "outputs", where)
        present_target = names.of(target, "inputs", where)
        connection = Connection(present_source, present_target, where)
        connections.append(connection)
    return connections


def _phase_problems(
    file: RunFile,
    graph: Graph,
    trainers: Trainers,
) -> list[SpecloomError]:
    """What the phases find wrong on the graph."""
    problems: list[SpecloomError] = []
    for component, trainer in zip(file.phases, trainers, strict=True):
        at = _config_place(file, component)
        problems += trainer.check(graph, at)
    return problems


def _config_place(file: RunFile, component: Component) -> Callable[..., str]:
    """The places of a component's parameters in the file, by their names."""
    return partial(file.document.where, *component.keys, "config")


def _unused_losses(graph: Graph, trainers: Trainers) -> list[SpecloomError]:
    """The losses that none of the phases (if there is any) minimises.

    One that does not run in training is there to be measured only.
    """
    problems: list[SpecloomError] = []
    if not trainers:
        return problems
    minimised = _minimised_losses(graph, trainers)
    for name, node in graph.nodes.items():
        runs_in_training = "train" in graph.stages[name]
        if isinstance(node, Loss) and name not in minimised and runs_in_training:
            what = f"no phase trains the loss {name!r}"
            where = graph.where("nodes", name)
            fix = "add a phase that does, name it under that phase's losses, or remove the node"
            error = GraphError(what, where=where, fix=fix)
            problems.append(error)
    return problems


def _minimised_losses(graph: Graph, trainers: Trainers) -> set[str]:
    """The names of the losses that any phase minimises."""
    minimised: set[str] = set()
    for trainer in trainers:
        if isinstance(trainer, LossMinimiser):
            minimised.update(trainer.losses_of(graph))
    return minimised
