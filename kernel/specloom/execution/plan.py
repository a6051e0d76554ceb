"""Execution plans: a graph compiled for one stage into a straight line of calls.

A plan runs only the nodes that the wanted values need, frees each value after its last reader,
and checks ports when the shapes of the batch change rather than for every batch.
"""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from specloom.contract.abilities import Metric
from specloom.contract.errors import DataError, GraphError, NodeError, PortError, raise_all
from specloom.contract.nodes import Batch
from specloom.contract.runtime import Runtime
from specloom.execution.folding import Step, arrange, fold_into_readers
from specloom.graph.connections import BATCH
from specloom.graph.graph import Graph

OURS = "this is a mistake in the node: tell its author"


class Plan:
    """A graph compiled for one stage; call it with a batch to get the wanted values.

    Args:
        graph: The graph.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        runtime: The array library behind the nodes.
        want: Values to return, as ``node.port``; None runs every node of the stage.
        given: Values, as ``node.port``, that the batch holds; what only they need does not run.
        listener: Called after each node with its name as ``node``, ``outputs`` and ``seconds``.
        fold: Take affine nodes into the linear maps behind them where nobody else reads them.
        mapped: Wanted values that may then come as a ``LazyAffine``.
        without: Nodes that do not run, because the data lacks what they need.

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
        listener: Callable[..., None] | None = None,
        fold: bool = False,
        given: Iterable[str] = (),
        lazy: Iterable[str] = (),
        without: Iterable[str] = (),
    ) -> None:
        self.graph, self.stage, self.listener = graph, stage, listener
        running = [name for name in graph.order if stage in graph.stages[name]]
        self.active = [name for name in running if name not in {*without}]
        wanted, given = sorted(set(want or ())), {*given}
        for end in (*wanted, *given):
            raise_all([*graph.wrong_end(end, "outputs")])
            name = end.partition(".")[0]
            if name not in (BATCH, *self.active):
                what = f"{name} does not run in the stage {stage!r}"
                fix = f"add {stage} to its stages"
                raise GraphError(what, where=graph.where("nodes", name), fix=fix)
        needed = set(self.active) if want is None else graph.ancestors(wanted, self.active, given)
        nodes = {name: graph.nodes[name] for name in self.active if name in needed}
        self._ready(nodes)
        self.measuring = [name for name, node in nodes.items() if isinstance(node, Metric)]
        closing = {n for n in nodes if any(nodes[n].inputs[p].per_stage for p in graph.feeding(n))}
        now = [end for end in wanted if not graph.port(end).per_stage]
        self.want = [end for end in now if end.partition(".")[0] not in closing]
        steps = [Step(n, one, runtime.forward(one), self._feeds(n)) for n, one in nodes.items()]
        self.closing = [step for step in steps if step.name in closing]
        self.steps = [step for step in steps if step.name not in closing]
        if fold:
            fold_into_readers(self.steps, set(self.want), {*lazy})
        arrange(self.closing, {f"{n}.{port}" for n, one in nodes.items() for port in one.outputs})
        loaded = arrange(self.steps, set(self.want))
        self._loads = [(n, end) for n in graph.batch if (end := f"{BATCH}.{n}") in loaded]
        self._loads += [(end, end) for end in given & loaded]
        self._checked: set[tuple[Any, ...]] = set()

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Run one batch.

        Raises:
            PortError: A value does not fit its port.
            DataError: The batch lacks what a node needs.
        """
        values = {end: batch.get(name) for name, end in self._loads}
        signature = tuple([_shape(value) for value in values.values()])
        self._run(self.steps, values, signature not in self._checked, listening=True)
        self._checked.add(signature)
        return {end: values[end] for end in self.want}

    def start(self) -> None:
        """Begin a stage: nodes that gather over it forget what they had."""
        for name in self.measuring:
            self.graph.nodes[name].measure_start(self.stage)

    def finish(self) -> dict[str, Any]:
        """End a stage: the values known only now, by ``node.port``, after their readers ran."""
        values: dict[str, Any] = dict.fromkeys(end for step in self.closing for end in step.reads)
        for name in self.measuring:
            made = self._call(name, self.graph.nodes[name].measure_end, {})
            values |= {f"{name}.{port}": value for port, value in made.items()}
        self._run(self.closing, values, new=True, listening=False)
        return {end: value for end, value in values.items() if value is not None}

    def _run(self, steps: list[Step], values: dict[str, Any], new: bool, listening: bool) -> None:
        """Add what each step makes to ``values``; check ports if their shapes are ``new``."""
        listener = self.listener if listening else None
        for step in steps:
            arguments = {port: values[ends[0]] for port, ends in step.feeds.items()}
            for port in step.many:
                arguments[port] = [values[e] for e in step.feeds[port] if values[e] is not None]
            if new:
                self._check(step, "inputs", arguments, sizes := self.graph.sizes(step.name))
            started = perf_counter() if listener else 0.0
            made = self._call(step.name, step.forward, arguments)
            if listener:
                listener(node=step.name, outputs=made, seconds=perf_counter() - started)
            if new or type(made) is not dict or [p for p, _ in step.gives if made.get(p) is None]:
                self._check(step, "outputs", made, sizes if new else {})
            for port, end in step.gives:
                values[end] = made.get(port)
            for end in step.frees:
                del values[end]
            del arguments, made

    def _call(self, name: str, method: Callable[..., Batch], arguments: Batch) -> Batch:
        """What a node's method gives; an error in it is told as one of ours."""
        try:
            return method(**arguments)
        except Exception as e:
            raise self.graph.told(e, name) from e

    def _feeds(self, name: str) -> dict[str, list[str]]:
        """What feeds a node in this stage."""
        running = {*self.active, BATCH}
        feeds = self.graph.feeding(name).items()
        kept = {port: [e for e in ends if e.partition(".")[0] in running] for port, ends in feeds}
        return {port: ends for port, ends in kept.items() if ends}

    def _ready(self, names: Iterable[str]) -> None:
        """Raise the error of the first node that cannot run yet."""
        unfitted = self.graph.unfitted()
        for name in names:
            where = self.graph.where("nodes", name)
            if name in unfitted:
                fix = "put a training.StatisticalTrainer phase before, or load a fitted pipeline"
                raise NodeError(f"{self.graph.label(name)} is not fitted", where=where, fix=fix)
            if name in self.graph.unbuilt:
                what = f"the sizes of node {name!r} do not follow from the graph"
                fix = "give its size parameters, or make the data's files available"
                raise GraphError(what, where=where, fix=fix)

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
                doc = (spec.doc or spec.axes or "").rstrip(".")
                what = f"{end} needs a value ({doc}), and this batch has none"
                fix = f"use data that has it ({ends}), or remove {step.name}"
                raise DataError(what, where=where, fix=fix)
            elif side == "outputs" and not spec.optional and not spec.per_stage:
                what = f"{step.name} did not make its output {port!r}"
                raise NodeError(what, where=where, fix=OURS)


def _shape(value: Any) -> tuple[Any, ...]:
    """What must be the same for two batches to pass the same port checks."""
    return type(value), getattr(value, "shape", None), getattr(value, "dtype", None)
