"""Shows how a run goes on, on the standard error stream and nowhere else."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from specloom import SpecloomError, impl, printable
from specloom_console.notebook import NotebookDisplay, in_notebook
from specloom_console.splits import split_lines
from specloom_console.table import main_metrics, metrics_table
from specloom_console.task import Task, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import DescribedSplit, Run
    from specloom_console.live import LiveDisplay

LEAST_SECONDS = 1.0
"""Shorter tasks are not shown."""
LINE_INTERVAL = 5.0
"""Seconds between two lines of progress on the same task, without a terminal."""
MOST_TASKS = 4
"""Tasks that are followed at the same time; the one that was quiet longest is dropped first."""


class Progress:
    """Shows which phase runs, how fast its tasks go, how long they will take, and what was fitted.

    On a terminal moving lines, drawn by rich; in a notebook bars; elsewhere, and where TERM is
    ``dumb``, plain lines: for each task at most one every five seconds and one at its end. Nothing
    is shown of a task of less than a second. Of a run that is ``quiet`` there are only moving lines
    and warnings.

    Args:
        clock: Seconds, counted from any moment.
        stream: Where to write; None is what ``sys.stderr`` is when the run starts.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, stream: TextIO | None = None
    ) -> None:
        self._clock = clock
        self._chosen_stream = stream
        self._live: LiveDisplay | NotebookDisplay | None = None
        self._tasks: dict[str, Task] = {}
        self._reset()

    def _reset(self) -> None:
        self._quiet = False
        self._in_notebook = self._chosen_stream is None and in_notebook()
        self._stream: TextIO | None = self._chosen_stream or sys.stderr
        if self._in_notebook:  # which shows the standard error stream as an error
            self._stream = sys.stdout
        self._moving = self._in_notebook or _can_move(self._stream)
        self._phase_start = self._clock()
        self._last_event = self._phase_start
        self._last_line: dict[str, float] = {}

    @impl
    def run_started(self, run: Run | None) -> None:
        """Reset the display, and show the description of the run."""
        self._close()
        self._reset()
        self._quiet = run is not None and run.quiet
        if run is not None and run.metadata.get("description"):
            self._write_unless_quiet(str(run.metadata["description"]))

    @impl
    def data_described(self, run: Run, splits: Mapping[str, DescribedSplit]) -> None:
        """Show what each split holds, in one line; splits that hold the same share one."""
        for line in split_lines(splits, verbose=run.verbose):
            self._write_unless_quiet(line)

    @impl
    def phase_started(self, name: str) -> None:
        """Show which phase begins."""
        self._phase_start = self._clock()
        self._last_event = self._phase_start
        self._write_unless_quiet(name)

    @impl
    def node_fitted(self, node: str, summary: str) -> None:
        """Show what a node was fitted to."""
        self._last_event = self._clock()
        text = f"fitted {node}"
        if summary:
            text += f": {summary}"
        self._write_unless_quiet(text)

    @impl
    def warned(self, message: str) -> None:
        """Show a warning."""
        self._write(f"warning: {message}")

    @impl
    def progress(self, what: str, done: int, total: int | None) -> None:
        """Follow a task, and show it once it has taken a second."""
        now = self._clock()
        task = self._tasks.get(what)
        if task is not None and done < task.done:  # it starts again
            self._end(task)
            task = None
        if task is None:
            task = self._follow(what, done, total, now)
        task.update(done, total, now)
        self._last_event = now
        if task.complete:
            self._end(task)
        elif task.seconds >= LEAST_SECONDS:
            self._show(task, now)

    @impl
    def failed(self, what: str, count: int) -> None:
        """Show with a task how many of its steps failed."""
        if what in self._tasks:
            self._tasks[what].failed = count

    def _follow(self, what: str, done: int, total: int | None, now: float) -> Task:
        """A task that is reported for the first time."""
        if len(self._tasks) == MOST_TASKS:
            self._end(min(self._tasks.values(), key=lambda task: task.now))
        before = 0.0
        if done > 0:
            before = now - self._last_event
        task = Task(what, started=now, base=done, total=total, done=done, now=now, before=before)
        self._tasks[what] = task
        return task

    @impl
    def phase_ended(self, name: str) -> None:
        """End the phase's tasks, and show how long it took."""
        self._end_all()
        self._last_line.clear()
        seconds = self._clock() - self._phase_start
        if seconds >= LEAST_SECONDS:
            self._write_unless_quiet(f"{name} took {duration(seconds)}")

    @impl
    def run_ended(self, run: Run | None, error: BaseException | None) -> None:
        """Close the display, also after an error; without one, show what was measured."""
        self._close()
        if run is None:
            return
        if _can_resume(error) and run.folder is not None:
            self._write(f"to resume: specloom run --resume {run.folder}")
        if error is None and run.metrics:
            shown = run.metrics if run.verbose else main_metrics(run.metrics)
            self._write_unless_quiet(metrics_table(shown))

    def _show(self, task: Task, now: float) -> None:
        if self._moving and self._stream is not None:
            self._show_live(task, self._stream)
        elif now - self._last_line.get(task.what, -math.inf) >= LINE_INTERVAL:
            self._last_line[task.what] = now
            self._write_unless_quiet(f"{task.what}: {task.pace()}")

    def _show_live(self, task: Task, stream: TextIO) -> None:
        if self._live is None and self._in_notebook:
            self._live = NotebookDisplay()
        elif self._live is None:
            from specloom_console.live import LiveDisplay

            self._live = LiveDisplay(stream, self._clock)
        self._live.show(task)

    def _end(self, task: Task) -> None:
        del self._tasks[task.what]
        if self._live is not None:
            self._live.remove(task.what)
        elif not self._moving and task.seconds >= LEAST_SECONDS:
            self._write_unless_quiet(task.summary())

    def _end_all(self) -> None:
        for task in list(self._tasks.values()):
            self._end(task)

    def _close(self) -> None:
        try:
            self._end_all()
        finally:
            if self._live is not None:
                self._live.close()
                self._live = None

    def _write_unless_quiet(self, text: str) -> None:
        if not self._quiet:
            self._write(text)

    def _write(self, text: str) -> None:
        text = printable(text)
        if self._live is not None:
            self._live.write(text)
        elif self._stream is not None:
            try:
                self._stream.write(f"{text}\n")
                self._stream.flush()
            except (OSError, ValueError):  # a reader that went away must not end the run
                self._stream = None


def _can_move(stream: TextIO | None) -> bool:
    """Whether lines can be drawn again: on a terminal that is not ``dumb``."""
    if stream is None or not stream.isatty():
        return False
    return os.environ.get("TERM") != "dumb"


def _can_resume(error: BaseException | None) -> bool:
    """Whether a run that ended so goes on with ``--resume``."""
    if isinstance(error, SpecloomError):
        return error.is_resumable
    return isinstance(error, KeyboardInterrupt)
