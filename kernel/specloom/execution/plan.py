"""Execution plans: a graph compiled for one stage into a straight line of calls.

A plan runs only the nodes that the wanted values need, frees each value after its last reader,
and checks ports when the shapes of the batch change rather than for every batch.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from specloom.contract.abilities import Metric
from specloom.contract.errors import GraphError, NodeError, raise_all
from specloom.contract.nodes import Batch
from specloom.contract.ports import node_of
from specloom.contract.runtime import Runtime
from specloom.execution.folding import (
    ANY_MAP,
    Form,
    Step,
    assign_lifetimes,
    fold_into_readers,
    select_outputs,
)
from specloom.execution.port_checks import PortChecks, shape_of
from specloom.graph.connections import Incoming
from specloom.graph.graph import Graph
from specloom.runfile.names import BATCH


class Plan:
    """A graph compiled for one stage; call it with a batch to get the wanted values.

    Args:
        graph: The graph.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        runtime: The array library behind the nodes.
        want: Values to return, as ``node.port``; None runs every node of the stage.
        listener: Called after each node with its name as ``node``, ``outputs`` and ``seconds``.
        fold: Fold nodes into those that read them, where these can take over their map, and make
            only outputs that are read.
        provided: Values, as ``node.port``, that the batch holds; what only they need does not run.
        lazy: Wanted values that may then come as a ``LazyAffine``.
        lazy_linear: Wanted values that may then come as a ``LazyAffine`` or a ``LazyLinear``.
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
        provided: Iterable[str] = (),
        lazy: Iterable[str] = (),
        lazy_linear: Iterable[str] = (),
        without: Iterable[str] = (),
    ) -> None:
        self.graph = graph
        self.stage = stage
        self.listener = listener
        #: The nodes that can run in the stage, in running order.
        self.active = self._active_nodes(without)
        wanted = sorted(set(want or ()))
        provided = set(provided)
        for end in (*wanted, *provided):
            self._require_made(end)
        names = self.active
        if want is not None:
            names = self._needed_nodes(wanted, provided)
        self._require_ready(names)
        #: The nodes that accumulate over the stage.
        self.metrics: list[str] = []
        #: The steps that run for each batch.
        self.steps: list[Step] = []
        #: The steps that run when the stage ends, on values that are known only then.
        self.end_steps: list[Step] = []
        for name in names:
            self._add_step(name, runtime)
        #: The wanted values that each batch has.
        self.want = self._wanted_per_batch(wanted)
        forms = dict.fromkeys(lazy, Form.AFFINE)
        forms |= dict.fromkeys(lazy_linear, ANY_MAP)
        self._compile(fold, provided, forms)
        self._checks = PortChecks(graph)
        self._checked: set[tuple[Any, ...]] = set()

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Run one batch.

        Raises:
            PortError: A value does not fit its port.
            DataError: The batch lacks what a node needs.
        """
        values: dict[str, Any] = {}
        for name, end in self._loads:
            values[end] = batch.get(name)
        shapes = [shape_of(value) for value in values.values()]
        signature = tuple(shapes)
        is_new = signature not in self._checked
        if is_new or self.listener is not None:
            self._run(self.steps, values, check=is_new, listener=self.listener)
            self._checked.add(signature)
        else:
            self._run_checked(values)
        return {end: values[end] for end in self.want}

    def start(self) -> None:
        """Begin a stage: nodes that accumulate over it start again."""
        for name in self.metrics:
            node = self.graph.nodes[name]
            node.measure_start(self.stage)

    def finish(self) -> dict[str, Any]:
        """End a stage: the values known only now, by ``node.port``, after their readers ran."""
        values: dict[str, Any] = {}
        for step in self.end_steps:
            values |= dict.fromkeys(step.reads)
        for name in self.metrics:
            node = self.graph.nodes[name]
            measured = self._call(name, node.measure_end, {})
            for port, value in measured.items():
                values[f"{name}.{port}"] = value
        self._run(self.end_steps, values, check=True, listener=None)
        return {end: value for end, value in values.items() if value is not None}

    def _active_nodes(self, without: Iterable[str]) -> list[str]:
        """The nodes that run in the stage."""
        left_out = set(without)
        active = []
        for name in self.graph.order:
            stages = self.graph.stages[name]
            if self.stage in stages and name not in left_out:
                active.append(name)
        return active

    def _require_made(self, end: str) -> None:
        """Raise GraphError unless a value exists in this stage."""
        wrong = list(self.graph.wrong_end(end, "outputs"))
        raise_all(wrong)
        name = node_of(end)
        if name != BATCH and name not in self.active:
            what = f"{name} does not run in the stage {self.stage!r}"
            where = self.graph.where("nodes", name)
            fix = f"add {self.stage} to its stages"
            raise GraphError(what, where=where, fix=fix)

    def _needed_nodes(self, wanted: Sequence[str], provided: Collection[str]) -> list[str]:
        """The nodes that the wanted values come from, in running order."""
        needed = self.graph.ancestors(wanted, self.active, provided)
        return [name for name in self.active if name in needed]

    def _require_ready(self, names: Iterable[str]) -> None:
        """Raise NodeError or GraphError for the first node that cannot run yet."""
        unfitted = self.graph.unfitted()
        for name in names:
            where = self.graph.where("nodes", name)
            if name in unfitted:
                what = f"{self.graph.label(name)} is not fitted"
                fix = "fit it in a phase before, or load a fitted pipeline"
                raise NodeError(what, where=where, fix=fix)
            if name in self.graph.unbuilt:
                what = f"the sizes of node {name!r} do not follow from the graph"
                fix = "give its size parameters, or make the data's files available"
                raise GraphError(what, where=where, fix=fix)

    def _add_step(self, name: str, runtime: Runtime) -> None:
        """Add the call of a node to the steps of each batch, or to those of the stage's end."""
        node = self.graph.nodes[name]
        if isinstance(node, Metric):
            self.metrics.append(name)
        forward = runtime.forward(node)
        step = Step(name, node, forward, self._incoming(name))
        if self._reads_stage_value(step):
            self.end_steps.append(step)
        else:
            self.steps.append(step)

    def _incoming(self, name: str) -> Incoming:
        """The values that come to a node in this stage, by input."""
        running = {*self.active, BATCH}
        found = {}
        connected = self.graph.incoming(name)
        for port, ends in connected.items():
            available = [end for end in ends if node_of(end) in running]
            if available:
                found[port] = available
        return found

    def _reads_stage_value(self, step: Step) -> bool:
        """Whether a node is connected to values that are known only when a stage ends."""
        inputs = step.node.inputs
        connected = self.graph.incoming(step.name)
        return any(inputs[port].per_stage for port in connected)

    def _wanted_per_batch(self, wanted: Sequence[str]) -> list[str]:
        """The wanted values that are not known only when the stage ends."""
        late = {step.name for step in self.end_steps}
        per_batch = []
        for end in wanted:
            port = self.graph.port(end)
            if not port.per_stage and node_of(end) not in late:
                per_batch.append(end)
        return per_batch

    def _compile(self, fold: bool, provided: Collection[str], lazy: Mapping[str, Form]) -> None:
        """Fold nodes, and find out which values are loaded, read and freed."""
        wanted = set(self.want)
        if fold:
            fold_into_readers(self.steps, wanted, lazy)
        assign_lifetimes(self.end_steps, self._made_values())
        read = assign_lifetimes(self.steps, wanted)
        if fold and self.listener is None:
            select_outputs(self.steps)
        #: What is taken from a batch, each with the name of its value.
        self._loads = self._loaded_values(provided, read)

    def _made_values(self) -> set[str]:
        """The values that all steps make, as ``node.port``."""
        made = set()
        for step in (*self.steps, *self.end_steps):
            for port in step.node.outputs:
                made.add(f"{step.name}.{port}")
        return made

    def _loaded_values(
        self,
        provided: Collection[str],
        read: Collection[str],
    ) -> list[tuple[str, str]]:
        """The entries of a batch that are read, each with the name of its value."""
        ends = {name: f"{BATCH}.{name}" for name in self.graph.batch}
        ends |= {end: end for end in provided}
        return [(name, end) for name, end in ends.items() if end in read]

    def _run(
        self,
        steps: Sequence[Step],
        values: dict[str, Any],
        *,
        check: bool,
        listener: Callable[..., None] | None,
    ) -> None:
        """Call nodes in turn, add what they make to ``values``, and free what is read no more."""
        sizes: dict[str, int] = {}
        for step in steps:
            arguments = {port: values[end] for port, end in step.single_inputs}
            if step.list_inputs:
                arguments |= _listed_values(step, values)
            if check:
                sizes = self.graph.sizes(step.name)
                self._checks.check_inputs(step, arguments, sizes)
            started = perf_counter()
            try:
                made = step.forward(**arguments)
            except Exception as e:
                raise self.graph.node_error(e, step.name) from e
            if listener is not None:
                seconds = perf_counter() - started
                listener(node=step.name, outputs=made, seconds=seconds)
            if check or type(made) is not dict:
                self._checks.check_outputs(step, made, dict(sizes))
            for port, end in step.outputs:
                value = made.get(port)
                if value is None:
                    self._checks.check_outputs(step, made, dict(sizes))
                values[end] = value
            for end in step.last_reads:
                del values[end]

    def _run_checked(self, values: dict[str, Any]) -> None:
        """As ``_run``, for a batch of the shapes of one before, and without a listener.

        Everything is in one loop: it runs for every node of every batch, and on small images a
        call of a function for each would be a fifth of the executor's time.
        """
        for step in self.steps:
            arguments = {}
            for port, end in step.single_inputs:
                arguments[port] = values[end]
            if step.list_inputs:
                arguments |= _listed_values(step, values)
            try:
                made = step.forward(**arguments)
            except Exception as e:
                raise self.graph.node_error(e, step.name) from e
            if type(made) is not dict:
                self._checks.check_outputs(step, made, {})
            for port, end in step.outputs:
                value = made.get(port)
                if value is None:
                    self._checks.check_outputs(step, made, {})
                values[end] = value
            for end in step.last_reads:
                del values[end]

    def _call(self, name: str, method: Callable[..., Batch], arguments: Batch) -> Batch:
        """What a node's method returns; an error in it names the node."""
        try:
            return method(**arguments)
        except Exception as e:
            raise self.graph.node_error(e, name) from e


def _listed_values(step: Step, values: Batch) -> dict[str, list[Any]]:
    """The lists of values that come to the inputs that take several."""
    found = {}
    for port in step.list_inputs:
        several = [values[end] for end in step.incoming[port]]
        found[port] = [value for value in several if value is not None]
    return found
