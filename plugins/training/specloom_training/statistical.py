"""The statistical phase: fit every node that learns from a stream of batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar

from specloom import (
    At,
    Batch,
    ConfigError,
    Graph,
    Pipeline,
    Run,
    Source,
    SpecloomError,
    did_you_mean,
)
from specloom_training import processes
from specloom_training.evaluate import check_split, describe_missing, evaluate


def fit(run: Run, names: Sequence[str], split: str, *, tell: bool = True) -> None:
    """Fit the named nodes, each when everything it reads is fitted.

    Nodes whose inputs are ready share one pass over the data; a node of several passes takes
    its next pass together with whatever is ready then. Of several processes each reads every
    so many-th batch, and all end with the same statistics. Observers are told if ``tell``.
    """
    processes.join()
    run.place()
    passes = dict.fromkeys(names, 0)
    nodes: dict[str, Any] = run.graph.nodes
    while passes:
        ready = [name for name in passes if not _waits_for(run.graph, name, passes)]
        for name in ready:
            nodes[name].fit_start(passes[name])
        _one_pass(run, ready, split)
        for name in ready:
            _merge(run, nodes[name], passes[name])
            nodes[name].fit_end()
            passes[name] += 1
            if passes[name] == nodes[name].fit_passes:
                del passes[name]
                if tell:
                    run.notify_fitted(name)


def _waits_for(graph: Graph, name: str, unfinished: Iterable[str]) -> set[str]:
    ends = [end for ends in graph.incoming(name, fit=True).values() for end in ends]
    return graph.ancestors(ends) & set(unfinished)


def _one_pass(run: Run, names: Sequence[str], split: str) -> None:
    graph = run.graph
    feeds = {name: graph.incoming(name, fit=True) for name in names}
    taken = [
        (end, port == getattr(graph.nodes[name], "affine_input", None))
        for name, ports in feeds.items()
        for port, ends in ports.items()
        for end in ends
    ]
    lazy = {end for end, _ in taken} - {end for end, absorbed in taken if not absorbed}
    plan = run.plan("train", [end for end, _ in taken], lazy=lazy)
    with run.inference():
        batches = run.batches(split, f"fitting {', '.join(names)}")
        for batch in islice(batches, processes.rank(), None, processes.count()):
            values = plan(batch)
            for name, ports in feeds.items():
                graph.nodes[name].fit_update(**_arguments(graph, name, ports, values))


def _merge(run: Run, node: Any, pass_: int) -> None:
    """Give each process what all of them gathered, merged in the same order everywhere."""
    if processes.count() == 1:
        return
    states = processes.gathered(run.runtime.dump(node.fit_state(), {}))
    node.fit_start(pass_)
    for data in states:
        state, _ = run.runtime.load(data)
        if getattr(node, "array_library", "") == "numpy":
            state = {name: value.numpy() for name, value in state.items()}
        node.fit_merge(state)


def _arguments(
    graph: Graph, name: str, ports: dict[str, list[str]], values: Batch
) -> dict[str, Any]:
    found = {}
    for port, (end, *_) in ports.items():
        if values[end] is not None:
            found[port] = values[end]
        elif not graph.nodes[name].inputs[port].optional:
            raise ConfigError(
                f"{name} is fitted with {port!r}, which comes from {end}, and a batch has none",
                where=graph.where("nodes", name),
                fix="use training data that has it",
            )
    return found


def _unfed(graph: Graph, name: str) -> Iterable[SpecloomError]:
    """The inputs that the fit of a node needs and that nobody feeds."""
    fed = graph.incoming(name, fit=True)
    for port, spec in graph.nodes[name].inputs.items():
        if spec.for_fit and not spec.optional and port not in fed:
            yield ConfigError(
                f"{name} is fitted with {port!r}, which is not fed ({spec.doc})",
                where=graph.where("nodes", name),
                fix=f"add a connection - [node.output, {name}.{port}]",
            )


def lacking_fit(graph: Graph, name: str, split: str) -> Iterable[SpecloomError]:
    """The inputs that the fit of a node needs and that no batch of the split leads to."""
    absent = graph.missing_data(split).values
    for port, ends in graph.incoming(name, fit=True).items():
        if absent.issuperset(ends) and not graph.nodes[name].inputs[port].optional:
            yield ConfigError(
                f"{name} is fitted with {port!r}, which comes from {ends[0]}, "
                f"and {describe_missing(graph, split)}",
                where=graph.where("nodes", name),
                fix="use training data that has it",
            )


class StatisticalTrainer:
    """A phase that fits every node that learns from a stream, without gradients.

    Nodes whose inputs are ready share one pass over the data. In Python:
    ``StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()``.

    Args:
        pipeline: The pipeline, in Python.
        datamodule: The data source, in Python.
        nodes: The nodes to fit; by default all that can be.
        split: The split to learn from.
        seed: The seed of the run, in Python.
    """

    python_only: ClassVar = ("pipeline", "datamodule", "seed")

    def __init__(
        self,
        pipeline: Pipeline | None = None,
        datamodule: Source | None = None,
        nodes: list[str] | None = None,
        split: str = "train",
        seed: int = 0,
    ) -> None:
        self.pipeline, self.datamodule = pipeline, datamodule
        self.nodes, self.split, self.seed = nodes, split, seed

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find names of nodes that do not exist or cannot be fitted."""
        yield from check_split(self.split, graph, at)
        able = graph.fittable()
        for name in able if self.nodes is None else [n for n in self.nodes if n in able]:
            yield from _unfed(graph, name)
            yield from lacking_fit(graph, name, self.split)
        for name in self.nodes or ():
            if name not in able:
                yield ConfigError(
                    f"node {name!r} cannot be fitted"
                    if name in graph.nodes
                    else f"there is no node {name!r}",
                    where=at("nodes"),
                    fix=did_you_mean(name, able, otherwise="no node of this graph can be fitted"),
                )

    def train(self, run: Run) -> None:
        """Fit the nodes."""
        fit(
            run,
            [n for n in run.graph.fittable() if self.nodes is None or n in self.nodes],
            self.split,
        )

    def fit(self) -> None:
        """Fit the nodes of ``pipeline`` on ``datamodule``."""
        self.train(self._run())

    def validate(self) -> dict[str, float]:
        """The metrics of the validation split, by ``node/name``."""
        return evaluate(self._run(), "val")

    def test(self) -> dict[str, float]:
        """The metrics of the test split, by ``node/name``."""
        return evaluate(self._run(), "test")

    def _run(self) -> Run:
        if self.pipeline is None or self.datamodule is None:
            raise ConfigError(
                "StatisticalTrainer has no pipeline or no datamodule",
                fix="give pipeline= and datamodule=, or use it as a phase of a run file",
            )
        return Run(self.pipeline.graph(self.datamodule), self.datamodule, seed=self.seed)
