"""The tasks of this plugin: any process can fit, or measure, on a share of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from specloom_statistics import DomainSample
from specloom_training.domain import DomainWatch
from specloom_training.job_format import merge_states, open_job, read_windowed_batches
from specloom_training.node_states import dump_states, load_states
from specloom_training.passes import BATCH
from specloom_training.share_fit import ShareFit
from specloom_training.shared_moments import SharedMoments
from specloom_training.windowed import WindowedStage

if TYPE_CHECKING:
    from specloom import Job, Ticket


class Fit:
    """One pass of the statistical fits of some nodes.

    A node in a later pass is brought up to it by the merged states of its finished passes.
    """

    def begin(self, job: Job) -> None:
        """Build the graph, take in finished passes, and compile what the nodes read.

        Raises:
            SpecloomError: The graph or the source cannot be made here.
        """
        opened = open_job(job)
        self._run = opened.run
        self._passes: dict[str, int] = job.arguments["passes"]
        self._replay(opened.finished)
        sample = None
        if job.arguments.get("sampled"):
            sample = DomainSample()
        shared = [SharedMoments.from_json(one) for one in job.arguments.get("shared", ())]
        wave = job.arguments["wave"]
        self._work = ShareFit(self._run, self._passes, wave, sample, shared)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What the nodes collect on a share, as safetensors."""
        return self._work.do(tickets)

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What the nodes collected on several shares, merged in their order."""
        return self._work.merge(parts)

    def _replay(self, finished: Sequence[bytes]) -> None:
        """Take nodes in a later pass through the passes before it."""
        nodes = self._run.graph.nodes
        for number, data in enumerate(finished):
            names = [name for name, pass_ in self._passes.items() if pass_ > number]
            taking_part = {name: nodes[name] for name in names}
            states = load_states(self._run.runtime, data, taking_part)
            for name, node in taking_part.items():
                node.fit_start(number)
                node.fit_merge(states[name])
                node.fit_end()


class Measure:
    """The mergeable metrics of one stage."""

    def begin(self, job: Job) -> None:
        """Build the graph and compile what the metrics read.

        Raises:
            SpecloomError: The graph or the source cannot be made here.
        """
        self._run = open_job(job).run
        self._names: list[str] = job.arguments["metrics"]
        nodes = self._run.graph.nodes
        wanted = [f"{name}.{port}" for name in self._names for port in nodes[name].outputs]
        stage = job.arguments["stage"]
        self._plan = self._run.plan(stage, wanted)
        self._windowed = WindowedStage(self._run, stage, self._plan)
        self._watch: DomainWatch | None = None
        if job.arguments.get("compared"):
            self._watch = DomainWatch(self._run)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What the metrics collect on a share, as safetensors."""
        self._start()
        with self._run.inference():
            for batch in read_windowed_batches(self._run, tickets):
                self._windowed(batch, self._watch)
        return self._states()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What the metrics collected on several shares, merged in their order."""
        self._start()
        nodes = self._measuring()
        for name, state in merge_states(self._run, nodes, parts):
            nodes[name].measure_merge(state)
        return self._states()

    def _start(self) -> None:
        self._plan.start()
        if self._watch is not None:
            self._watch.measure_start()

    def _measuring(self) -> dict[str, Any]:
        """The metrics, and what compares the batches."""
        nodes = self._run.graph.nodes
        measuring: dict[str, Any] = {name: nodes[name] for name in self._names}
        if self._watch is not None:
            measuring[BATCH] = self._watch
        return measuring

    def _states(self) -> bytes:
        states = {name: node.measure_state() for name, node in self._measuring().items()}
        return dump_states(self._run.runtime, states)
