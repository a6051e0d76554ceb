"""The moving display on a terminal. Imports rich; ``progress.py`` does so only when needed."""

import atexit
import sys
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from specloom_console.task import Task

AROUND = 5
"""The characters of a line besides the name of a task and its pace, with a bar of none."""


class LiveDisplay:
    """A line for each task that is under way, which is removed when the task ends.

    Args:
        stream: The terminal. Its colours follow NO_COLOR, which rich reads.
        clock: Seconds, counted from any moment.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
            transient=True,
            get_time=clock,
            # Standard output may be a pipe: what is printed there must arrive there.
            redirect_stdout=False,
            redirect_stderr=stream is sys.stderr,
        )
        self._lines: dict[str, TaskID] = {}
        atexit.register(self.close)  # a hidden cursor must not outlive the process
        self._progress.start()

    def show(self, task: Task) -> None:
        """Draw how far a task is."""
        line = self._lines.get(task.what)
        pace = task.pace(self._progress.console.width - len(task.what) - AROUND)
        if line is None:
            line = self._progress.add_task(
                task.what, completed=task.done, total=task.total, pace=pace
            )
            self._lines[task.what] = line
        else:
            self._progress.update(line, completed=task.done, total=task.total, pace=pace)

    def remove(self, what: str) -> None:
        """Remove the line of a task."""
        line = self._lines.pop(what, None)
        if line is not None:
            self._progress.remove_task(line)

    def write(self, text: str) -> None:
        """Write a line that stays, above the moving ones."""
        self._progress.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        atexit.unregister(self.close)
        self._progress.stop()
