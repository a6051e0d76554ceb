"""Shows how a run goes on, on the standard error stream and nowhere else."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from specloom import impl
from specloom_console.table import metrics_table
from specloom_console.task import Task, duration

if TYPE_CHECKING:
    from specloom import Run
    from specloom_console.live import LiveDisplay

SHORT = 1.0
"""Seconds under which nothing is shown of a task."""
PAUSE = 5.0
"""Seconds between two lines of progress on the same thing, where no terminal is."""
MOST = 4
"""Tasks that are followed at once; the one that was quiet longest is dropped for another."""


class Progress:
    """Says which phase runs, how fast its tasks go, how long they will take, and what was fitted.

    On a terminal moving lines, drawn by rich; elsewhere, and where TERM is ``dumb``, plain lines:
    for each task at most one every five seconds and one at its end. Nothing is shown of a task
    of less than a second.

    Args:
        clock: The seconds since some moment.
        stream: Where to write; None is what ``sys.stderr`` is when the run starts.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, stream: TextIO | None = None
    ) -> None:
        self._clock, self._given = clock, stream
        self._live: LiveDisplay | None = None
        self._tasks: dict[str, Task] = {}
        self._begin()

    def _begin(self) -> None:
        self._stream: TextIO | None = self._given or sys.stderr
        terminal = self._stream is not None and self._stream.isatty()
        self._moving = terminal and os.environ.get("TERM") != "dumb"
        self._phase_began = self._last_event = self._clock()
        self._shown: dict[str, float] = {}

    @impl
    def run_started(self, run: Run | None) -> None:
        """Begin anew, and say what is run."""
        self._close()
        self._begin()
        if run is not None and (about := str(run.metadata.get("description", ""))):
            self._say(about)

    @impl
    def phase_started(self, name: str) -> None:
        """Say which phase begins."""
        self._phase_began = self._last_event = self._clock()
        self._say(name)

    @impl
    def node_fitted(self, node: str, summary: str) -> None:
        """Say what a node was fitted to."""
        self._last_event = self._clock()
        self._say(f"fitted {node}: {summary}" if summary else f"fitted {node}")

    @impl
    def warned(self, message: str) -> None:
        """Show a warning."""
        self._say(f"warning: {message}")

    @impl
    def progress(self, what: str, done: int, total: int | None) -> None:
        """Follow a task, and show it once it has taken a second."""
        now = self._clock()
        task = self._tasks.get(what)
        if task is not None and done < task.done:
            self._end(task)
            task = None
        if task is None:
            if len(self._tasks) == MOST:
                self._end(min(self._tasks.values(), key=lambda task: task.now))
            before = now - self._last_event if done else 0.0
            task = self._tasks[what] = Task(what, now, done, total, done, now, before)
        task.update(done, total, now)
        self._last_event = now
        if task.complete:
            self._end(task)
        elif task.seconds >= SHORT:
            self._show(task, now)

    @impl
    def phase_ended(self, name: str) -> None:
        """End the phase's tasks, and say how long it took."""
        self._end_all()
        self._shown.clear()
        seconds = self._clock() - self._phase_began
        if seconds >= SHORT:
            self._say(f"{name} took {duration(seconds)}")

    @impl
    def run_ended(self, run: Run | None, error: BaseException | None) -> None:
        """Close the display, also after an error; without one, show what was measured."""
        self._close()
        if isinstance(error, KeyboardInterrupt) and run is not None and run.folder is not None:
            self._say(f"to go on with it: specloom run --resume {run.folder}")
        if run is not None and run.metrics and error is None:
            self._say(metrics_table(run.metrics))

    def _show(self, task: Task, now: float) -> None:
        if self._moving and self._stream is not None:
            if self._live is None:
                from specloom_console.live import LiveDisplay

                self._live = LiveDisplay(self._stream, self._clock)
            self._live.show(task)
        elif now - self._shown.get(task.what, -math.inf) >= PAUSE:
            self._shown[task.what] = now
            self._say(f"{task.what}: {task.pace()}")

    def _end(self, task: Task) -> None:
        del self._tasks[task.what]
        if self._live is not None:
            self._live.remove(task.what)
        elif not self._moving and task.seconds >= SHORT:
            self._say(task.summary())

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

    def _say(self, text: str) -> None:
        if self._live is not None:
            self._live.say(text)
        elif self._stream is not None:
            try:
                self._stream.write(f"{text}\n")
                self._stream.flush()
            except (OSError, ValueError):  # a reader that went away must not end the run
                self._stream = None
