"""What shells are offered when a command line is completed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

RECORD = "run.json"
"""The file that the folder of a run has."""


def complete_run_folders(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The folders of runs whose paths begin as ``incomplete`` does, and folders that lead to some.

    Give it to a parameter as ``shell_complete=complete_run_folders``.
    """
    from click.shell_completion import CompletionItem

    parent, _slash, beginning = incomplete.rpartition("/")
    folder = Path(parent)
    if not parent and incomplete.startswith("/"):
        folder = Path("/")
    items = []
    for child in _folders(folder):
        if not child.name.startswith(beginning):
            continue
        path = (folder / child.name).as_posix()
        if (child / RECORD).is_file():
            items.append(CompletionItem(path))
        elif any((inner / RECORD).is_file() for inner in _folders(child)):
            items.append(CompletionItem(f"{path}/", type="nospace"))
    return items


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder, in the alphabet's order, but for hidden ones."""
    with suppress(OSError):
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield child
