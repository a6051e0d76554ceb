"""Where the time and the memory of a run go: reading, fitting, and each node, phase by phase."""

from __future__ import annotations

import sys
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from specloom import Fittable, MapStyleSource, impl
from specloom_report.collecting.arrays import nbytes
from specloom_report.collecting.costs import peak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from specloom import Batch, Run

FIT = ("fit_update", "fit_end")
READING, REST = "(reading)", "(the rest)"


class Profiler:
    """Adds up seconds, calls and memory by phase and by what ran.

    On a GPU it waits for each node's work to end, so that its time is its own.

    Args:
        run: The run, before it goes.
        clock: The seconds since some moment.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = perf_counter) -> None:
        self._clock, self._labels = clock, [phase_label(*one) for one in run.phases]
        self.rows: list[dict[str, Any]] = []
        self._phase, self._number, self._began = "before", -1, clock()
        self._rows: dict[tuple[int, str, str], dict[str, Any]] = {}
        self._peak = peak() or 0
        self._cuda = sys.modules["torch"].cuda if run.runtime.device.startswith("cuda") else None
        self._listen(run)

    def _listen(self, run: Run) -> None:
        """Put a clock around reading and fitting, which no hook tells of."""
        for name, node in run.graph.nodes.items():
            if isinstance(node, Fittable):
                for what in FIT:
                    _wrap(node, what, partial(self._timed, name, "fit"))
        source: Any = run.source
        if isinstance(source, MapStyleSource):
            _wrap(source, "read", partial(self._timed, READING, "data"))
        batches = source.batches

        def timed(split: str) -> Iterator[Batch]:
            found = iter(batches(split))
            while (one := self._timed(READING, "data", lambda: next(found, None))) is not None:
                yield one

        if not isinstance(source, MapStyleSource):
            source.batches = timed

    def _timed(self, name: str, what: str, call: Callable[[], Any]) -> Any:
        began = self._clock()
        try:
            return call()
        finally:
            self._add(name, what, self._clock() - began, 0)

    def _add(self, name: str, what: str, seconds: float, size: int) -> None:
        key = self._number, name, what
        if (row := self._rows.get(key)) is None:
            row = {"phase": self._phase, "name": name, "what": what, "calls": 0, "seconds": 0.0}
            self._rows[key] = row | {"outputs": 0, "peak_growth": 0, "gpu_peak": None}
            self.rows.append(self._rows[key])
            row = self._rows[key]
        row["calls"] += 1
        row["seconds"] += seconds
        row["outputs"] = max(row["outputs"], size)
        now = peak() or 0
        row["peak_growth"] += max(0, now - self._peak)
        self._peak = max(now, self._peak)
        if self._cuda is not None:
            row["gpu_peak"] = max(row["gpu_peak"] or 0, self._cuda.max_memory_allocated())
            self._cuda.reset_peak_memory_stats()

    @impl
    def phase_started(self, name: str) -> None:
        """A phase begins."""
        self._number += 1
        self._phase, self._began = self._labels[self._number], self._clock()

    @impl
    def node_ran(self, node: str, outputs: Batch, seconds: float) -> None:
        """Add a call, and on a GPU the wait for its end."""
        if self._cuda is not None:
            began = self._clock()
            self._cuda.synchronize()
            seconds += self._clock() - began
        self._add(node, "forward", seconds, nbytes(outputs))

    @impl
    def phase_ended(self, name: str) -> None:
        """Add what nothing else explains: gradients, the optimiser, metrics, files."""
        known = sum(row["seconds"] for key, row in self._rows.items() if key[0] == self._number)
        self._add(REST, "", max(0.0, self._clock() - self._began - known), 0)


def phase_label(reference: str, phase: object) -> str:
    """A phase's reference, with its split where it has one."""
    split = getattr(phase, "split", None)
    return f"{reference} ({split})" if isinstance(split, str) else reference


def _wrap(owner: Any, name: str, around: Callable[[Callable[[], Any]], Any]) -> None:
    """Let ``owner.name(…)`` run within ``around``."""
    own = getattr(owner, name)

    @wraps(own)  # its signature may be asked for
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return around(lambda: own(*arguments, **named))

    setattr(owner, name, wrapped)


def told(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """What was measured, ready for JSON."""
    return {"rows": rows, "seconds": sum(row["seconds"] for row in rows), "peak": peak()}
