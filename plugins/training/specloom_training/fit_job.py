"""Statistical fits by jobs: one job for each pass over the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom import (
    Executor,
    Graph,
    Job,
    ResumableExecutor,
    Run,
    Share,
    SpecloomError,
    Stateful,
)
from specloom_jobs import make_shares, total_by_parts
from specloom_training import processes
from specloom_training.job_format import (
    make_job,
    no_jobs_because,
    run_first_item,
    tickets_with_progress,
)
from specloom_training.job_notes import note_work_in_process
from specloom_training.node_states import dump_states, load_states
from specloom_training.passes import BATCH, fit_ends
from specloom_training.shared_moments import by_label, fitted_names

if TYPE_CHECKING:
    from specloom_statistics import DomainSample
    from specloom_training.fit_parts import FitParts
    from specloom_training.shared_moments import SharedMoments

TASK = "training.Fit"


class FitJobs:
    """The passes of one fit, each as a job for an executor.

    Args:
        run: The run.
        executor: Who works on the shares.
        split: The split to learn from.
        finished: The finished passes of nodes that have several.
        parts: Where totals outlast this process; None for nowhere.
    """

    def __init__(
        self,
        run: Run,
        executor: Executor,
        split: str,
        finished: FinishedPasses | None = None,
        parts: FitParts | None = None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._split = split
        self._finished = finished or FinishedPasses(run)
        self._parts = parts
        self._unable: dict[str, str] = {}
        self._why_not = _no_fits_because(run, split)
        if self._why_not:
            note_work_in_process(run, f"the fit is done in this process: {self._why_not}")

    def suitable(self, names: Iterable[str]) -> list[str]:
        """The nodes that jobs can fit; for the others there is a note."""
        if self._why_not:
            return []
        return [name for name in names if self._can_fit(name)]

    def run_pass(
        self,
        passes: Mapping[str, int],
        wave: Sequence[str],
        sample: DomainSample | None = None,
        shared: Sequence[SharedMoments] = (),
    ) -> None:
        """Let the executor do a pass of these nodes, and take the total into them.

        Args:
            passes: The pass of each node, from 0.
            wave: These, and the nodes that this process fits in the same pass.
            sample: Takes the sample of the batches that the shares took; None for none.
            shared: Take the moments that the shares collected for several nodes.

        Raises:
            SpecloomError: A share failed.
        """
        ends = [end for name in passes for end in fit_ends(self._run.graph, name)]
        ends += [end for moments in shared for end in moments.pixels.ends()]
        run_first_item(self._run, "train", ends, self._split)
        is_sampled = sample is not None
        finished = self._finished.states
        job = fit_job(self._run, passes, wave, self._split, finished, shared, sampled=is_sampled)
        what = f"fitting {', '.join(fitted_names(passes, shared))}"
        total = self._total(job, what)
        nodes = {name: self._run.graph.nodes[name] for name in passes}
        for name, state in load_states(self._run.runtime, total, nodes).items():
            nodes[name].fit_start(passes[name])
            nodes[name].fit_merge(state)
        if sample is not None:
            states = load_states(self._run.runtime, total, {BATCH: sample})
            sample.fit_merge(states[BATCH])
        labelled = by_label(shared)
        for label, state in load_states(self._run.runtime, total, labelled).items():
            labelled[label].fit_start(0)
            labelled[label].fit_merge(state)
        self._finished.add(passes, total)

    def _total(self, job: Job, what: str) -> bytes:
        """The total of a job, without the shares that an earlier process did."""

        def shares() -> Iterator[Share]:
            return make_shares(tickets_with_progress(self._run, self._split, what))

        executor = self._executor
        if self._parts is None:
            return executor.total(job, shares())
        if not isinstance(executor, ResumableExecutor):
            parts = self._parts.of_job(job, self._split, what, totals_only=True)
            return total_by_parts(parts, shares, partial(executor.total, job))
        parts = self._parts.of_job(job, self._split, what)
        return total_by_parts(parts, shares, partial(executor.resume_total, job, parts=parts))

    def suitable_moments(self, shared: Sequence[SharedMoments]) -> list[SharedMoments]:
        """The moments that jobs can collect."""
        if self._why_not:
            return []
        graph = self._run.graph
        return [one for one in shared if not _stateless_before(graph, one.pixels.ends())]

    def _can_fit(self, name: str) -> bool:
        if name not in self._unable:
            self._unable[name] = _no_job_because(self._run, name)
            if self._unable[name]:
                line = f"{name} is fitted in this process: {self._unable[name]}"
                note_work_in_process(self._run, line)
        return not self._unable[name]


class FinishedPasses:
    """The merged states of the finished passes of nodes that have a later one.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        #: By node, in the order of the passes.
        self.states: dict[str, list[Mapping[str, Any]]] = {}

    def add(self, passes: Mapping[str, int], total: bytes) -> None:
        """Add what was collected in a pass.

        Args:
            passes: The pass of each node, from 0.
            total: What the nodes collected, as safetensors.
        """
        graph_nodes: Mapping[str, Any] = self._run.graph.nodes
        nodes = {name: graph_nodes[name] for name in passes}
        for name, state in load_states(self._run.runtime, total, nodes).items():
            if passes[name] + 1 == nodes[name].fit_passes:
                continue  # no later job replays it
            self.states.setdefault(name, []).append(state)


def fit_job(
    run: Run,
    passes: Mapping[str, int],
    wave: Sequence[str],
    split: str,
    finished: Mapping[str, Sequence[Mapping[str, Any]]],
    shared: Sequence[SharedMoments] = (),
    *,
    sampled: bool = False,
) -> Job:
    """The job of one pass of some nodes.

    Args:
        run: The run; what is before the nodes must be fitted.
        passes: The pass of each node, from 0.
        wave: All nodes that are fitted in the same pass.
        split: The split to learn from.
        finished: The merged states of the finished passes of nodes in a later pass.
        shared: Moments to collect for several nodes.
        sampled: Whether the shares take a sample of the batches too.

    Raises:
        ConfigError: A node or the source is offered by no plugin.
    """
    by_pass = []
    for number in range(max(passes.values(), default=0)):
        states = {name: finished[name][number] for name in passes if passes[name] > number}
        by_pass.append(dump_states(run.runtime, states))
    arguments: dict[str, Any] = {"passes": dict(passes), "wave": list(wave), "split": split}
    if shared:
        arguments["shared"] = [moments.as_json() for moments in shared]
    if sampled:
        arguments["sampled"] = True
    return make_job(run, TASK, arguments, by_pass)


def _no_fits_because(run: Run, split: str) -> str:
    """Why no job can fit nodes of a run; empty where one can."""
    if processes.count() > 1:
        return f"{processes.count()} processes fit together"
    why = no_jobs_because(run, split)
    if why:
        return why
    try:
        make_job(run, TASK, {})
    except SpecloomError as error:
        return error.what
    return ""


def _no_job_because(run: Run, name: str) -> str:
    """Why no job can fit one node; empty where one can. The node starts its first pass."""
    for before in _stateless_before(run.graph, fit_ends(run.graph, name)):
        return f"{before}, which it reads, saves no state"
    if not can_merge(run, name):
        return "its statistics cannot be merged"
    return ""


def _stateless_before(graph: Graph, ends: Iterable[str]) -> list[str]:
    """The nodes before some values that are fitted and cannot be sent to other processes."""
    fittable = graph.fittable()
    nodes: Mapping[str, Any] = graph.nodes
    return [
        name
        for name in graph.ancestors(ends)
        if name in fittable and not isinstance(nodes[name], Stateful)
    ]


def can_merge(run: Run, name: str) -> bool:
    """Whether a node can merge what it collects; it starts its first pass."""
    node: Any = run.graph.nodes[name]
    node.fit_start(0)
    try:
        data = dump_states(run.runtime, {name: node.fit_state()})
        node.fit_merge(load_states(run.runtime, data, {name: node})[name])
    except NotImplementedError:
        return False
    return True
