"""The statistical phase: fit every node that learns from a stream of batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

from specloom import (
    At,
    ConfigError,
    Executor,
    Graph,
    Pipeline,
    Run,
    Source,
    SpecloomError,
    did_you_mean,
)
from specloom_statistics import DomainSample
from specloom_training import processes
from specloom_training.evaluate import check_split, describe_missing, evaluate_noted
from specloom_training.fit_job import FinishedPasses, FitJobs, can_merge
from specloom_training.fit_parts import FitParts, fit_parts
from specloom_training.history import note_phase, save_run
from specloom_training.log_lines import LOGGER, LogLines
from specloom_training.passes import FitPass, fit_ends
from specloom_training.share_fit import Resumption, can_work_by_shares, fit_by_shares
from specloom_training.shared_moments import SharedMoments, find_shared, fitted_names


def fit(
    run: Run,
    names: Sequence[str],
    split: str,
    *,
    notify: bool = True,
    executor: Executor | None = None,
    sample: DomainSample | None = None,
    parts: FitParts | None = None,
    by_shares: bool | None = None,
) -> None:
    """Fit the named nodes, each when everything it reads is fitted.

    Nodes whose inputs are ready share one pass over the data; a node of several passes takes
    its next pass together with whatever is ready then. Of several processes each reads every
    so many-th batch, and all end with the same statistics.

    Args:
        run: The run.
        names: The nodes.
        split: The split to learn from.
        notify: Whether observers hear of each node that is fitted.
        executor: Who works on shares of the data, where source and nodes allow it; None for
            this process, batch by batch.
        sample: Takes pixels of each batch in the first pass; None for none.
        parts: Where totals outlast this process; None for nowhere.
        by_shares: What ``can_work_by_shares`` says of the split; None to find out.
    """
    processes.join()
    run.place()
    if by_shares is None:
        by_shares = can_work_by_shares(run, split)
    way = _way_of_fitting(run, names, split, executor, parts, by_shares=by_shares)
    nodes: dict[str, Any] = run.graph.nodes
    passes_done = dict.fromkeys(names, 0)
    while passes_done:
        unfinished = set(passes_done)
        ready = [name for name in passes_done if not _waits_for(run.graph, name, unfinished)]
        passes = {name: passes_done[name] for name in ready}
        shared = _shared_moments(run, passes, list(passes_done))
        by_moments = {name: moments for moments in shared for name in moments.names}
        passes = {name: number for name, number in passes.items() if name not in by_moments}
        _fit_ready(run, passes, split, way, sample, shared)
        sample = None  # the later passes read the same batches
        for name in list(passes_done):
            if name in passes:
                nodes[name].fit_end()
            elif not _fit_by_moments(run, name, by_moments, passes_done):
                continue
            passes_done[name] += 1
            if passes_done[name] == nodes[name].fit_passes:
                del passes_done[name]
                if notify:
                    run.notify_fitted(name)


class _Way(NamedTuple):
    """How the passes of a fit are done."""

    jobs: FitJobs | None
    """The jobs of the fit; None for none."""
    mergeable: Sequence[str] | None
    """The nodes that this process fits share by share; None where it does nothing so."""
    resumption: Resumption | None
    """How these go on after a kill; None where they do not."""


def _way_of_fitting(
    run: Run,
    names: Sequence[str],
    split: str,
    executor: Executor | None,
    parts: FitParts | None,
    *,
    by_shares: bool,
) -> _Way:
    """How some nodes are fitted: by jobs, share by share, or batch by batch."""
    finished = FinishedPasses(run)
    jobs = None
    if executor is not None:
        jobs = FitJobs(run, executor, split, finished, parts)
    if not by_shares:
        return _Way(jobs, None, None)
    mergeable = [name for name in names if can_merge(run, name)]
    resumption = None
    if parts is not None:
        resumption = Resumption(run, split, parts, finished)
    return _Way(jobs, mergeable, resumption)


def _fit_by_moments(
    run: Run, name: str, by_moments: Mapping[str, SharedMoments], unfinished: Iterable[str]
) -> bool:
    """Fit a node by the moments that a pass has collected for it; whether that was possible."""
    if name not in by_moments or _waits_for(run.graph, name, set(unfinished)):
        return False
    return by_moments[name].fit(run, name)


def _shared_moments(
    run: Run, passes: Mapping[str, int], unfinished: Sequence[str]
) -> list[SharedMoments]:
    """Moments that this pass collects for several nodes.

    They follow from the graph alone, as the last digits depend on them.
    """
    if not run.fold:
        return []
    return find_shared(run.graph, passes, unfinished)


def _fit_ready(
    run: Run,
    passes: Mapping[str, int],
    split: str,
    way: _Way,
    sample: DomainSample | None,
    shared: Sequence[SharedMoments],
) -> None:
    """Do a pass of nodes, by a job where there are jobs and the node is suitable.

    One share gives the bits of a stream, and several give those of an executor.

    Args:
        run: The run.
        passes: The pass of each node, from 0.
        split: The split to learn from.
        way: How passes are done.
        sample: Takes pixels of each batch; None for none.
        shared: Moments to collect for several nodes.
    """
    jobs = way.jobs
    mergeable = way.mergeable
    wave = list(passes)
    left = dict(passes)
    moments_left = list(shared)
    if jobs is not None:
        by_job = _taken(left, jobs.suitable(left))
        moments_by_job = jobs.suitable_moments(moments_left)
        if by_job or moments_by_job:
            jobs.run_pass(by_job, wave, sample, moments_by_job)
            sample = None
        moments_left = [one for one in moments_left if one not in moments_by_job]
    if mergeable is not None:
        by_shares = _taken(left, [name for name in left if name in mergeable])
        if by_shares or moments_left:
            fit_by_shares(run, by_shares, wave, split, sample, moments_left, way.resumption)
            sample = None
        moments_left = []
    _run_pass(run, left, wave, split, sample, moments_left)


def _taken(passes: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """These nodes and their passes, taken out of ``passes``."""
    return {name: passes.pop(name) for name in names}


def _waits_for(graph: Graph, name: str, unfinished: set[str]) -> set[str]:
    """The unfinished nodes that the fit of a node depends on."""
    return graph.ancestors(fit_ends(graph, name)) & unfinished


def _run_pass(
    run: Run,
    passes: Mapping[str, int],
    wave: Sequence[str],
    split: str,
    sample: DomainSample | None,
    shared: Sequence[SharedMoments] = (),
) -> None:
    """Update nodes of a wave with every batch of this process, and merge those of all."""
    if not passes and not shared:
        return
    for name, number in passes.items():
        run.graph.nodes[name].fit_start(number)
    fit_pass = FitPass(run, list(passes), wave, sample, shared)
    fitted = ", ".join(fitted_names(passes, shared))
    batches = run.windowed_batches(split, f"fitting {fitted}")
    fit_pass.update(islice(batches, processes.rank(), None, processes.count()))
    for name, number in passes.items():
        _merge(run, run.graph.nodes[name], number)
    for moments in shared:
        _merge(run, moments, 0)
    if sample is not None:
        _merge(run, sample, 0)


def _merge(run: Run, node: Any, pass_: int) -> None:
    """Merge the statistics of all processes into each of them, in the same order everywhere."""
    if processes.count() == 1:
        return
    states = processes.all_gather(run.runtime.dump(node.fit_state(), {}))
    node.fit_start(pass_)
    for data in states:
        state, _ = run.runtime.load(data)
        if getattr(node, "array_library", "") == "numpy":
            state = {name: value.numpy() for name, value in state.items()}
        node.fit_merge(state)


def _unconnected_fit_inputs(graph: Graph, name: str) -> Iterable[SpecloomError]:
    """The inputs that the fit of a node needs and that are not connected."""
    connected = graph.incoming(name, fit=True)
    for port, spec in graph.nodes[name].inputs.items():
        if spec.for_fit and not spec.optional and port not in connected:
            yield ConfigError(
                f"{name} is fitted with {port!r}, which is not connected ({spec.doc})",
                where=graph.where("nodes", name),
                fix=f"add a connection - [node.output, {name}.{port}]",
            )


def missing_fit_inputs(graph: Graph, name: str, split: str) -> Iterable[SpecloomError]:
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
        self.pipeline = pipeline
        self.datamodule = datamodule
        self.nodes = nodes
        self.split = split
        self.seed = seed

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find names of nodes that do not exist or cannot be fitted."""
        yield from check_split(self.split, graph, at)
        for name in self._chosen(graph):
            yield from _unconnected_fit_inputs(graph, name)
            yield from missing_fit_inputs(graph, name, self.split)
        able = graph.fittable()
        for name in self.nodes or ():
            if name not in able:
                what = f"there is no node {name!r}"
                if name in graph.nodes:
                    what = f"node {name!r} cannot be fitted"
                fix = did_you_mean(name, able, otherwise="no node of this graph can be fitted")
                yield ConfigError(what, where=at("nodes"), fix=fix)

    def _chosen(self, graph: Graph) -> list[str]:
        """The nodes to fit, in running order."""
        able = graph.fittable()
        if self.nodes is None:
            return able
        return [name for name in able if name in self.nodes]

    def fits(self, graph: Graph) -> list[str]:
        """The nodes that are chosen."""
        return self._chosen(graph)

    def uses_fits(self, graph: Graph) -> set[str]:
        """The nodes that lead to what the chosen ones are fitted with."""
        chosen = self._chosen(graph)
        found: set[str] = set()
        for name in chosen:
            found |= graph.ancestors(fit_ends(graph, name))
        return found - set(chosen)

    def train(self, run: Run) -> None:
        """Fit the nodes; by jobs where the run has an executor, and source and nodes can."""
        sample = DomainSample()
        chosen = self._chosen(run.graph)
        parts = fit_parts(run)
        fit(run, chosen, self.split, executor=run.executor, sample=sample, parts=parts)
        record = sample.record()
        if record:
            run.graph.fitted_on.clear()
            run.graph.fitted_on.update(record)

    def fit(self) -> None:
        """Fit the nodes of ``pipeline`` on ``datamodule``; what was fitted is logged."""
        LOGGER.info("statistical phase")
        run = self._run()
        started = perf_counter()
        self.train(run)
        phase = StatisticalTrainer(nodes=self.nodes, split=self.split)
        note_phase(self._pipeline(), run, ("training.StatisticalTrainer", phase), started)

    def validate(self) -> dict[str, float]:
        """The metrics of the validation split, by ``node/name``."""
        return self._evaluate("val")

    def test(self) -> dict[str, float]:
        """The metrics of the test split, by ``node/name``."""
        return self._evaluate("test")

    def save_run(self, folder: str | Path) -> Path:
        """Write the folder of a run: what all trainers did with the pipeline, and its results.

        It is the folder that ``specloom run --out`` writes, and ``specloom reproduce`` repeats it.

        Raises:
            ConfigError: Nothing was fitted yet, or phases had different data.
            UnavailableError: The folder cannot be written.
        """
        return save_run(self._pipeline(), folder)

    def _evaluate(self, split: str) -> dict[str, float]:
        run = self._run()
        return evaluate_noted(self._pipeline(), run, split)

    def _pipeline(self) -> Pipeline:
        """The pipeline, which ``_run`` has found to be there."""
        assert self.pipeline is not None
        return self.pipeline

    def _run(self) -> Run:
        if self.pipeline is None or self.datamodule is None:
            raise ConfigError(
                "StatisticalTrainer has no pipeline or no datamodule",
                fix="pass pipeline= and datamodule=, or use it as a phase of a run file",
            )
        run = Run(self.pipeline.graph(self.datamodule), self.datamodule, seed=self.seed)
        run.plugins.add("log lines", LogLines())
        return run
