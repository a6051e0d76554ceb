"""The moving display of a notebook: a bar for each task, in the output of the cell."""

from __future__ import annotations

import sys
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specloom_console.task import Task


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; IPython is not imported for it."""
    module: Any = sys.modules.get("IPython")
    if module is None:
        return False
    shell = module.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


class NotebookDisplay:
    """A bar for each task that is under way, which is removed when the task ends."""

    def __init__(self) -> None:
        self._bars: dict[str, str] = {}
        self._handle: Any = None

    def show(self, task: Task) -> None:
        """Draw how far a task is."""
        self._bars[task.what] = _bar(task)
        self._draw()

    def remove(self, what: str) -> None:
        """Remove the bar of a task."""
        if self._bars.pop(what, None) is not None:
            self._draw()

    def write(self, text: str) -> None:
        """Write a line that stays."""
        print(text)

    def close(self) -> None:
        """Remove all bars."""
        if self._bars:
            self._bars.clear()
            self._draw()

    def _draw(self) -> None:
        shown: Any = import_module("IPython.display")  # which has no types
        drawn = shown.HTML("".join(self._bars.values()))
        if self._handle is None:
            self._handle = shown.display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def _bar(task: Task) -> str:
    """A bar with the name of a task and its pace; one without an end where its size is unknown."""
    value = ""
    if task.total:
        value = f' max="{task.total}" value="{task.done}"'
    text = escape(f"{task.what}: {task.pace()}")
    return f'<div><progress{value} style="width:16em"></progress> {text}</div>'
