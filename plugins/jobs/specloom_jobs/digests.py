"""Digests of the data of subtrees: what their tickets say, and the state of the files they name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from specloom import MergeTree, Share


class DataDigests:
    """A digest of the data of each complete subtree, and of all shares.

    Args:
        wants: Whether digests of a level are needed.
    """

    def __init__(self, wants: Callable[[int], bool]) -> None:
        self._wants = wants
        self._tree: MergeTree[str] = MergeTree(_join, self._note)
        self._subtrees: dict[tuple[int, int], str] = {}
        self._files: dict[Path, dict[str, str]] = {}

    def add(self, share: Share) -> None:
        """Take in the next share, before it is read."""
        parts = []
        for ticket in share.tickets:
            parts.append(json.dumps(ticket, sort_keys=True))
            for value in ticket.values():
                if isinstance(value, str):
                    parts.append(self._state_of(value))
        self._tree.add(share.number, _join(parts))

    def of_subtree(self, level: int, number: int) -> str:
        """The digest of a subtree; empty where it is not complete."""
        return self._subtrees.get((level, number), "")

    def of_all(self) -> str:
        """The digest of all shares.

        Raises:
            ValueError: There is none.
        """
        return self._tree.total()

    def _note(self, level: int, number: int, digest: str) -> None:
        if self._wants(level):
            self._subtrees[level, number] = digest

    def _state_of(self, path: str) -> str:
        """Sizes and times of a file and those that belong to it; empty where it is none.

        Files of one folder whose names begin alike, up to the first dot, belong together: the
        header of a cube and its pixels.
        """
        file = Path(path)
        if not file.is_absolute():
            return ""
        if file.parent not in self._files:
            self._files[file.parent] = _states(file.parent)
        return self._files[file.parent].get(_stem(file.name), "")


def _states(folder: Path) -> dict[str, str]:
    """The state of the files of a folder, by the beginning of their names."""
    lines: dict[str, list[str]] = {}
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                found = entry.stat()
                line = f"{entry.name} {found.st_size} {found.st_mtime_ns}"
                lines.setdefault(_stem(entry.name), []).append(line)
    return {stem: _join(sorted(one)) for stem, one in lines.items()}


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _join(parts: Sequence[str]) -> str:
    text = json.dumps(list(parts))
    return hashlib.sha256(text.encode()).hexdigest()
