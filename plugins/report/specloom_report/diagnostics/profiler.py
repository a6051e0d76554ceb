"""Time and memory of a run: reading, fitting, and each node, phase by phase."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from specloom import Fittable, MapStyleSource, impl
from specloom_report.collecting.arrays import count_bytes
from specloom_report.collecting.costs import peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from specloom import Batch, Run

FIT_METHODS = ("fit_update", "fit_end")
READING = "(reading)"
REST = "(the rest)"
BEFORE = "before"


@dataclass
class Measurement:
    """What was measured of one node, or of reading, in one phase.

    Args:
        phase: The phase.
        name: The node, ``(reading)`` or ``(the rest)``.
        what: ``forward``, ``fit``, ``data``, or empty for the rest.
        calls: The number of calls.
        seconds: Their wall-clock time.
        outputs: The bytes of the largest outputs.
        peak_growth: By how much the peak resident memory rose, in bytes.
        gpu_peak: The peak memory that torch allocated on the GPU; None on a CPU.
    """

    phase: str
    name: str
    what: str
    calls: int = 0
    seconds: float = 0.0
    outputs: int = 0
    peak_growth: int = 0
    gpu_peak: int | None = None


class Profiler:
    """Adds up seconds, calls and memory by phase and by node.

    On a GPU it waits for each node's work to end, so that its time is its own.

    Args:
        run: The run, before it runs.
        clock: Returns seconds.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._labels = [phase_label(*phase) for phase in run.phases]
        self._phase = BEFORE
        self._number = -1
        self._phase_started = clock()
        self._by_key: dict[tuple[int, str, str], Measurement] = {}
        self._peak = peak_memory() or 0
        self._cuda: Any = None
        if run.runtime.device.startswith("cuda"):
            self._cuda = sys.modules["torch"].cuda
        self._time_fits(run)
        self._time_reading(run)

    @property
    def measurements(self) -> list[Measurement]:
        """All measurements in the order in which they began."""
        return list(self._by_key.values())

    def _time_fits(self, run: Run) -> None:
        """Measure the fits, which have no hook."""
        for name, node in run.graph.nodes.items():
            if isinstance(node, Fittable):
                for method in FIT_METHODS:
                    _wrap(node, method, partial(self._timed, name, "fit"))

    def _time_reading(self, run: Run) -> None:
        """Measure the source, which has no hook."""
        source: Any = run.source
        if isinstance(source, MapStyleSource):
            _wrap(source, "read", partial(self._timed, READING, "data"))
            return
        batches = source.batches

        def timed_batches(split: str) -> Iterator[Batch]:
            iterator = iter(batches(split))
            while True:
                batch = self._timed(READING, "data", lambda: next(iterator, None))
                if batch is None:
                    return
                yield batch

        source.batches = timed_batches

    def _timed(self, name: str, what: str, call: Callable[[], Any]) -> Any:
        started = self._clock()
        try:
            return call()
        finally:
            self._add(name, what, self._clock() - started)

    def _add(self, name: str, what: str, seconds: float, outputs: int = 0) -> None:
        key = (self._number, name, what)
        one = self._by_key.get(key)
        if one is None:
            one = Measurement(self._phase, name, what)
            self._by_key[key] = one
        one.calls += 1
        one.seconds += seconds
        one.outputs = max(one.outputs, outputs)
        peak = peak_memory() or 0
        one.peak_growth += max(0, peak - self._peak)
        self._peak = max(peak, self._peak)
        if self._cuda is not None:
            one.gpu_peak = max(one.gpu_peak or 0, self._cuda.max_memory_allocated())
            self._cuda.reset_peak_memory_stats()

    @impl
    def phase_started(self, name: str) -> None:
        """Start a phase."""
        self._number += 1
        self._phase = self._labels[self._number]
        self._phase_started = self._clock()

    @impl
    def node_ran(self, node: str, outputs: Batch, seconds: float) -> None:
        """Add a call, and on a GPU the wait for its end."""
        if self._cuda is not None:
            started = self._clock()
            self._cuda.synchronize()
            seconds += self._clock() - started
        self._add(node, "forward", seconds, count_bytes(outputs))

    @impl
    def phase_ended(self, name: str) -> None:
        """Add what was not measured: gradients, the optimiser, metrics, files."""
        measured = 0.0
        for (number, _, _), one in self._by_key.items():
            if number == self._number:
                measured += one.seconds
        rest = self._clock() - self._phase_started - measured
        self._add(REST, "", max(0.0, rest))


def phase_label(reference: str, phase: object) -> str:
    """Return a phase's reference, with its split where it has one."""
    split = getattr(phase, "split", None)
    if isinstance(split, str):
        return f"{reference} ({split})"
    return reference


def _wrap(owner: Any, name: str, around: Callable[[Callable[[], Any]], Any]) -> None:
    """Make ``owner.name(…)`` run within ``around``."""
    method = getattr(owner, name)

    @wraps(method)  # its signature is looked at
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return around(lambda: method(*arguments, **named))

    setattr(owner, name, wrapped)


def summarise(measurements: Sequence[Measurement]) -> Mapping[str, Any]:
    """Return the measurements for JSON."""
    return {
        "rows": [asdict(one) for one in measurements],
        "seconds": sum(one.seconds for one in measurements),
        "peak": peak_memory(),
    }
