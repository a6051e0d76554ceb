"""Execution plans: a graph compiled for one stage into a straight line of calls.

A plan runs only the nodes that the wanted values need, frees each value after its last reader,
and checks ports when the shapes of the batch change rather than for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.errors import DataError, GraphError, NodeError, PortError, SpecloomError, did_you_mean
from specloom.folding import Step, folded
from specloom.node import Batch, Measures, Runtime
from specloom.wiring import BATCH, told

if TYPE_CHECKING:
    from specloom.graph import Graph

Listener: TypeAlias = Callable[[str, Batch, float], None]
OURS = "this is a mistake in the node: tell its author"


class Plan:
    """A graph compiled for one stage; call it with a batch to get the wanted values.

    Args:
        graph: The graph.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        runtime: The array library behind the nodes.
        want: Values to return, as ``node.port``; None runs every node of the stage.
        listener: Called after each node with its name, outputs and seconds.
        fold: Take affine nodes into the linear map behind them where nobody else reads them.

    Raises:
        GraphError: A wanted value is not made in this stage, or its size is not known.
        NodeError: A node that is needed has not been fitted.
    """

    def __init__(
        self,
        graph: Graph,
        stage: str,
        runtime: Runtime,
        want: Iterable[str] | None = None,
        listener: Listener | None = None,
        fold: bool = False,
    ) -> None:
        self.graph, self.stage, self.listener = graph, stage, listener
        self.active = [name for name in graph.order if stage in graph.stages[name]]
        wanted = sorted(set(want or ()))
        for end in wanted:
            self._made(end)
        names = set(self.active) if want is None else graph.ancestors(wanted, self.active)
        self._ready(names)
        chosen = {name: graph.nodes[name] for name in self.active if name in names}
        self.measuring = [name for name, node in chosen.items() if isinstance(node, Measures)]
        self.closing = [name for name in chosen if self._reads_per_stage(name)]
        self.want = [
            end
            for end in wanted
            if end.partition(".")[0] not in self.closing and not graph.port(end).per_stage
        ]
        steps = [
            Step(name, node, _forward(node, runtime), self._feeds(name))
            for name, node in chosen.items()
            if name not in self.closing
        ]
        self.steps = folded(steps, set(self.want), graph.port) if fold else steps
        self._checked: set[tuple[Any, ...]] = set()
        self._assign_slots()

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Run one batch.

        Raises:
            PortError: A value does not fit its port.
            DataError: The batch lacks what a node needs.
        """
        slots: list[Any] = [None] * len(self._slots)
        for name, slot in self._loads:
            slots[slot] = batch.get(name)
        signature = tuple([_shape(slots[slot]) for _, slot in self._loads])
        new, listener = signature not in self._checked, self.listener
        for step in self.steps:
            arguments = {port: slots[i] for port, i in step.takes}
            for port, several in step.gathers:
                arguments[port] = [v for i in several if (v := slots[i]) is not None]
            sizes: dict[str, int] = {}
            if new:
                self._check(step, "inputs", arguments, sizes)
            started = perf_counter() if listener else 0.0
            try:
                made = step.forward(**arguments)
            except Exception as e:
                raise self._told(e, step.name) from e
            if listener:
                listener(step.name, made, perf_counter() - started)
            if new or type(made) is not dict:
                self._check(step, "outputs", made, sizes)
            for port, i in step.gives:
                slots[i] = made.get(port)
                if slots[i] is None and not new:
                    self._check(step, "outputs", made, {})
            for i in step.frees:
                slots[i] = None
            del arguments, made
        self._checked.add(signature)
        return {end: slots[self._slots[end]] for end in self.want}

    def start(self) -> None:
        """Begin a stage: nodes that gather over it forget what they had."""
        for name in self.measuring:
            self.graph.nodes[name].measure_start(self.stage)

    def finish(self) -> dict[str, Any]:
        """End a stage: the values known only now, by ``node.port``, after their readers ran."""
        values: dict[str, Any] = {}
        for name in (*self.measuring, *self.closing):
            node, arguments = self.graph.nodes[name], dict[str, Any]()
            if name in self.closing:
                for port, ends in self._feeds(name).items():
                    found = [values[end] for end in ends if end in values]
                    arguments[port] = found if node.inputs[port].many else next(iter(found), None)
            try:
                made = node.forward(**arguments) if name in self.closing else node.measure_end()
            except Exception as e:
                raise self._told(e, name) from e
            values |= {f"{name}.{port}": value for port, value in made.items()}
        return values

    def _reads_per_stage(self, name: str) -> bool:
        ports = self.graph.nodes[name].inputs
        return any(ports[port].per_stage for port in self.graph.feeding(name))

    def _feeds(self, name: str) -> dict[str, list[str]]:
        running = {*self.active, BATCH}
        feeds = self.graph.feeding(name).items()
        kept = {p: [e for e in ends if e.partition(".")[0] in running] for p, ends in feeds}
        return {port: ends for port, ends in kept.items() if ends}

    def _assign_slots(self) -> None:
        """A slot for each value that somebody reads, freed after its last reader."""
        ends = sorted({*self.want}.union(*(step.reads for step in self.steps)))
        self._slots = {end: i for i, end in enumerate(ends)}
        own = BATCH + "."
        self._loads = [
            (e.removeprefix(own), i) for e, i in self._slots.items() if e.startswith(own)
        ]
        later = set(self.want)
        for step in reversed(self.steps):
            step.frees = [self._slots[end] for end in step.reads - later]
            later |= step.reads
            for port, several in step.feeds.items():
                if step.node.inputs[port].many:
                    step.gathers.append((port, [self._slots[end] for end in several]))
                else:
                    step.takes.append((port, self._slots[several[0]]))
            made = ((port, f"{step.name}.{port}") for port in step.node.outputs)
            step.gives = [(port, self._slots[end]) for port, end in made if end in self._slots]

    def _made(self, end: str) -> None:
        """Raise GraphError unless ``end`` is the batch's or made by a node that runs."""
        name, graph = end.partition(".")[0], self.graph
        known = [f"{name}.{port}" for name, node in graph.nodes.items() for port in node.outputs]
        known += [f"{BATCH}.{port}" for port in graph.batch]
        if end not in known:
            raise GraphError(f"there is no value {end!r}", fix=did_you_mean(end, known))
        if name not in (BATCH, *self.active):
            what, fix = (
                f"does not run in the stage {self.stage!r}",
                f"add {self.stage} to its stages",
            )
            raise GraphError(f"{name} {what}", where=graph.where("nodes", name), fix=fix)

    def _ready(self, names: set[str]) -> None:
        for name in (name for name in self.graph.unfitted() if name in names):
            fix = "put a training.StatisticalTrainer phase before, or load a fitted pipeline"
            what, where = f"{self.graph.label(name)} is not fitted", self.graph.where("nodes", name)
            raise NodeError(what, where=where, fix=fix)
        for name in (name for name in self.graph.unbuilt if name in names):
            what = f"the sizes of node {name!r} do not follow from the graph"
            fix = "give its size parameters, or make the data's files available"
            raise GraphError(what, where=self.graph.where("nodes", name), fix=fix)

    def _check(self, step: Step, side: str, values: Any, sizes: dict[str, int]) -> None:
        where = self.graph.where("nodes", step.name)
        if not isinstance(values, Mapping):
            what = f"gave {type(values).__name__}, not its outputs by name"
            raise NodeError(f"{self.graph.label(step.name)} {what}", where=where, fix=OURS)
        for port, spec in getattr(step.node, side).items():
            end, ends = f"{step.name}.{port}", ", ".join(step.feeds.get(port, ["the data"]))
            if values.get(port) is not None:
                try:
                    spec.check(values[port], step.node, sizes, "")
                except PortError as e:
                    fix = e.fix or (f"mend what comes from {ends}" if side == "inputs" else OURS)
                    raise PortError(f"{end} {e.what}", where=where, fix=fix) from e
            elif side == "inputs" and spec.required:
                what = f"{end} needs a value ({spec.doc or spec.axes}), and this batch has none"
                fix = f"use data that has it ({ends}), or remove {step.name}"
                raise DataError(what, where=where, fix=fix)
            elif side == "outputs" and not spec.optional and not spec.per_stage:
                what = f"{step.name} did not make its output {port!r}"
                raise NodeError(what, where=where, fix=OURS)

    def _told(self, error: Exception, name: str) -> SpecloomError:
        """``error`` as one that names the node it happened in."""
        return told(error, self.graph.label(name), self.graph.where("nodes", name))


def _forward(node: Any, runtime: Runtime) -> Callable[..., Batch]:
    if getattr(node, "array_library", "") == "numpy":
        return runtime.numpy_node(node)
    forward: Callable[..., Batch] = node.forward
    return forward


def _shape(value: Any) -> tuple[Any, ...]:
    """What must be the same for two batches to pass the same port checks."""
    return type(value), getattr(value, "shape", None), getattr(value, "dtype", None)
