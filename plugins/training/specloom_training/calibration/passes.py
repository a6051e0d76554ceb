"""The passes of a calibration over its split: by jobs, or batch by batch in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specloom import Executor, Job, Run, SpecloomError
from specloom_jobs import make_shares
from specloom_training.calibration.collectors import COLLECTORS, Collector
from specloom_training.job_format import (
    make_job,
    merge_states,
    no_jobs_because,
    open_job,
    plugins_of,
    read_windowed_batches,
    tickets_with_progress,
)
from specloom_training.job_notes import note_work_in_process
from specloom_training.node_states import dump_states, load_states
from specloom_training.passes import BATCH

if TYPE_CHECKING:
    from specloom import Ticket
    from specloom_training.domain import DomainWatch

TASK = "training.Collect"
COLLECTED = "collected"
"""What the state of a collector is called in that of a share."""


class CalibrationPasses:
    """The passes of one calibration.

    Args:
        run: The run.
        decider: The decider.
        split: The split to calibrate on.
    """

    def __init__(self, run: Run, decider: str, split: str) -> None:
        self._run = run
        self._decider = decider
        self._split = split
        self._executor: Executor | None = run.executor
        if self._executor is None:
            return
        why = self._no_jobs_because()
        if why:
            self.stay_in_process(why)

    @property
    def are_jobs(self) -> bool:
        """Whether an executor does the passes."""
        return self._executor is not None

    def stay_in_process(self, why: str) -> None:
        """Do all passes in this process, with a note where the run has an executor."""
        if self._executor is None:
            return
        self._executor = None
        line = f"the threshold of {self._decider} is calibrated in this process: {why}"
        note_work_in_process(self._run, line)

    def collect(
        self,
        name: str,
        config: Mapping[str, Any],
        what: str,
        watch: DomainWatch | None = None,
    ) -> Any:
        """Read the split once.

        Args:
            name: The name of a collector.
            config: Its configuration besides decider and stage, as JSON.
            what: What the work is called.
            watch: Compares the cubes with those of the fit; None for no comparison.

        Returns:
            The collector.

        Raises:
            SpecloomError: A share failed, or the data cannot be used.
        """
        whole = {"decider": self._decider, "stage": self._split, **config}
        collector: Collector = COLLECTORS[name](self._run, **whole)
        if self._executor is None:
            with self._run.inference():
                for batch in self._run.windowed_batches(self._split, what):
                    collector.add(batch, watch)
            return collector
        self._add_first_item(name, whole)
        arguments = {"collector": name, "config": whole, "compared": watch is not None}
        job = make_job(self._run, TASK, arguments)
        shares = make_shares(tickets_with_progress(self._run, self._split, what))
        total = self._executor.total(job, shares)
        nodes: dict[str, Any] = {COLLECTED: collector}
        if watch is not None:
            nodes[BATCH] = watch
        states = load_states(self._run.runtime, total, nodes)
        collector.merge(states[COLLECTED])
        if watch is not None:
            watch.measure_merge(states[BATCH])
        return collector

    def first_item(self, name: str, config: Mapping[str, Any]) -> Any:
        """A collector of the first item of the split, which this process reads."""
        return self._add_first_item(
            name, {"decider": self._decider, "stage": self._split, **config}
        )

    def count_items(self) -> int:
        """How many items the split has."""
        source: Any = self._run.source
        return sum(1 for _ in source.tickets(self._split))

    def _add_first_item(self, name: str, config: Mapping[str, Any]) -> Any:
        """Collect from the first item, so that nodes note what they see first; the job has it."""
        source: Any = self._run.source
        collector: Collector = COLLECTORS[name](self._run, **config)
        first = next(iter(source.tickets(self._split)))
        with self._run.inference():
            for batch in read_windowed_batches(self._run, [first]):
                collector.add(batch)
        return collector

    def _no_jobs_because(self) -> str:
        """Why no job can calibrate; empty where one can."""
        why = no_jobs_because(self._run, self._split)
        if why:
            return why
        if TASK not in plugins_of(self._run).offers(("tasks",)):
            return f"no plugin of the run offers {TASK}"
        try:
            make_job(self._run, TASK, {})
        except SpecloomError as error:
            return error.what
        return ""


class Collect:
    """The task: what a calibration collects in one pass."""

    def begin(self, job: Job) -> None:
        """Build the graph and compile what the collector reads.

        Raises:
            SpecloomError: The graph or the source cannot be made here.
        """
        from specloom_training.domain import DomainWatch

        self._run = open_job(job).run
        make = COLLECTORS[job.arguments["collector"]]
        self._collector: Collector = make(self._run, **job.arguments["config"])
        self._watch: DomainWatch | None = None
        if job.arguments["compared"]:
            self._watch = DomainWatch(self._run)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What is collected on a share, as safetensors."""
        self._start()
        with self._run.inference():
            for batch in read_windowed_batches(self._run, tickets):
                self._collector.add(batch, self._watch)
        return self._states()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What was collected on several shares, merged in their order."""
        self._start()
        collecting: dict[str, Any] = {COLLECTED: self._collector}
        if self._watch is not None:
            collecting[BATCH] = self._watch
        for name, state in merge_states(self._run, collecting, parts):
            if name == COLLECTED:
                self._collector.merge(state)
            else:
                collecting[name].measure_merge(state)
        return self._states()

    def _start(self) -> None:
        self._collector.start()
        if self._watch is not None:
            self._watch.measure_start()

    def _states(self) -> bytes:
        states = {COLLECTED: self._collector.state()}
        if self._watch is not None:
            states[BATCH] = self._watch.measure_state()
        return dump_states(self._run.runtime, states)
