"""Execution plans: a graph compiled for one stage into a straight line of calls.

A plan runs only the nodes that the wanted values need, frees each value after its last reader,
and checks ports when the shapes of the batch change rather than for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.errors import DataError, GraphError, NodeError, PortError, SpecloomError, did_you_mean
from specloom.node import Batch, Measures, Runtime
from specloom.steps import Forward, Step, compiled, failed_step, folded, lasts
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
        active = [name for name in graph.order if stage in graph.stages[name]]
        wanted = sorted(set(want or ()))
        for end in wanted:
            self._made(end, active)
        names = set(active) if want is None else graph.ancestors(wanted, active)
        self._ready(names)
        self.closing = [n for n in active if n in names and _per_stage(graph, n)]
        self.active = active
        late = [
            f"{name}.{port}"
            for name, node in graph.nodes.items()
            for port, spec in node.outputs.items()
            if spec.per_stage or name in self.closing
        ]
        self.want = [end for end in wanted if end not in late]
        self.measuring = [n for n in active if n in names and isinstance(graph.nodes[n], Measures)]
        self.steps = [
            Step(n, node := graph.nodes[n], _forward(node, runtime), self._inputs(n, active))
            for n in active
            if n in names and n not in self.closing
        ]
        if fold:
            self.steps = folded(self.steps, set(self.want), graph.port)
        self.reads = sorted(
            {e for s in self.steps for ends in s.feeds.values() for e in ends}
            | {e for e in self.want if e.startswith(BATCH + ".")}
        )
        self.needs = tuple(e.partition(".")[2] for e in self.reads if e.startswith(BATCH + "."))
        self._done = lasts(self.steps, self.want)
        self._checked: set[tuple[Any, ...]] = set()
        self._kept = {*self.reads, *self.want}
        self._fast = compiled(self.steps, self.reads, self.want)

    def __call__(self, batch: Batch) -> Batch:
        """Run one batch.

        Raises:
            PortError: A value does not fit its port.
            DataError: The batch lacks what a node needs.
        """
        get = batch.get
        signature = tuple(
            [
                (type(v), getattr(v, "shape", None), getattr(v, "dtype", None))
                for v in map(get, self.needs)
            ]
        )
        if self.listener is None and signature in self._checked:
            try:
                return self._fast(batch)
            except Exception as e:
                raise self._told(e, self.steps[failed_step(e)].name) from e
        values = self._watched(batch)
        self._checked.add(signature)
        return values

    def start(self) -> None:
        """Begin a stage: nodes that gather over it forget what they had."""
        for name in self.measuring:
            self.graph.nodes[name].measure_start(self.stage)

    def finish(self) -> dict[str, Any]:
        """End a stage: the values known only now, by ``node.port``, after their readers ran."""
        values: dict[str, Any] = {}
        for name in self.measuring:
            made = self._call(name, self.graph.nodes[name].measure_end)
            values |= {f"{name}.{port}": value for port, value in made.items()}
        for name in self.closing:
            feeds, node = self._inputs(name, self.active), self.graph.nodes[name]
            made = self._call(name, node.forward, _arguments(node, feeds, values))
            values |= {f"{name}.{port}": value for port, value in made.items()}
        return values

    def _inputs(self, name: str, active: Sequence[str]) -> dict[str, list[str]]:
        running = {*active, BATCH}
        feeds = self.graph.feeding(name).items()
        kept = {p: [e for e in ends if e.partition(".")[0] in running] for p, ends in feeds}
        return {port: ends for port, ends in kept.items() if ends}

    def _made(self, end: str, active: Sequence[str]) -> None:
        """Raise GraphError unless ``end`` is the batch's or made by a node that runs."""
        name, graph = end.partition(".")[0], self.graph
        known = [f"{name}.{port}" for name, node in graph.nodes.items() for port in node.outputs]
        if name != BATCH and end not in known:
            raise GraphError(f"there is no value {end!r}", fix=did_you_mean(end, known))
        if name not in (BATCH, *active):
            raise GraphError(
                f"{name} does not run in the stage {self.stage!r}",
                where=graph.where("nodes", name),
                fix=f"add {self.stage} to its stages",
            )

    def _ready(self, names: set[str]) -> None:
        for name in (name for name in self.graph.unfitted() if name in names):
            raise NodeError(
                f"{self.graph.label(name)} is not fitted",
                where=self.graph.where("nodes", name),
                fix="put a training.StatisticalTrainer phase before, or load a fitted pipeline",
            )
        for name in self.graph.unbuilt:
            if name in names:
                raise GraphError(
                    f"the sizes of node {name!r} do not follow from the graph",
                    where=self.graph.where("nodes", name),
                    fix="give its size parameters, or make the data's files available",
                )

    def _watched(self, batch: Batch) -> Batch:
        """The same calls, one by one, with every port checked and the listener told."""
        values = {f"{BATCH}.{name}": value for name, value in batch.items()}
        for step, done in zip(self.steps, self._done, strict=True):
            self._watch(step, values)
            for end in done:
                values.pop(end, None)
        return {end: values.get(end) for end in self.want}

    def _watch(self, step: Step, values: dict[str, Any]) -> None:
        arguments, sizes = _arguments(step.node, step.feeds, values), dict[str, int]()
        self._check(step, "inputs", arguments, sizes)
        started = perf_counter()
        made = self._call(step.name, step.forward, arguments)
        if self.listener is not None:
            self.listener(step.name, made, perf_counter() - started)
        self._check(step, "outputs", made, sizes)
        ends = {f"{step.name}.{port}": value for port, value in made.items()}
        values |= {end: value for end, value in ends.items() if end in self._kept}

    def _call(self, name: str, forward: Forward, arguments: Batch | None = None) -> Batch:
        try:
            made = forward(**(arguments or {}))
        except Exception as e:
            raise self._told(e, name) from e
        if not isinstance(made, Mapping):
            raise NodeError(
                f"{self.graph.label(name)} gave {type(made).__name__}, not its outputs by name",
                where=self.graph.where("nodes", name),
                fix=OURS,
            )
        return made

    def _check(self, step: Step, side: str, values: Batch, sizes: dict[str, int]) -> None:
        for port, spec in getattr(step.node, side).items():
            if side == "outputs" and spec.per_stage:
                continue
            end, where = f"{step.name}.{port}", self.graph.where("nodes", step.name)
            ends = ", ".join(step.feeds.get(port, ["the data"]))
            if values.get(port) is not None:
                try:
                    spec.check(values[port], step.node, sizes, "")
                except PortError as e:
                    fix = e.fix or (f"mend what comes from {ends}" if side == "inputs" else OURS)
                    raise PortError(f"{end} {e.what}", where=where, fix=fix) from e
            elif side == "inputs" and spec.required:
                raise DataError(
                    f"{end} needs a value ({spec.doc or spec.axes}), and this batch has none",
                    where=where,
                    fix=f"use data that has it ({ends}), or remove {step.name}",
                )
            elif side == "outputs" and not spec.optional:
                raise NodeError(
                    f"{step.name} did not make its output {port!r}", where=where, fix=OURS
                )

    def _told(self, error: Exception, name: str) -> SpecloomError:
        """``error`` as one that names the node it happened in."""
        return told(error, self.graph.label(name), self.graph.where("nodes", name))


def _per_stage(graph: Graph, name: str) -> bool:
    node = graph.nodes[name]
    return any(node.inputs[port].per_stage for port in graph.feeding(name))


def _forward(node: Any, runtime: Runtime) -> Forward:
    if getattr(node, "array_library", "") == "numpy":
        return runtime.numpy_node(node)
    forward: Forward = node.forward
    return forward


def _arguments(node: Any, feeds: Mapping[str, list[str]], values: Batch) -> dict[str, Any]:
    return {
        port: [v for v in map(values.get, ends) if v is not None]
        if node.inputs[port].many
        else values.get(ends[0])
        for port, ends in feeds.items()
    }
