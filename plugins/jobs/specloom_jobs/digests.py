"""Digests of the data of subtrees: what their tickets say, and the state of the files they name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from specloom import MergeTree, Share

HEADER = ".hdr"
"""The ending of ENVI headers; the pixels have any other one, or none."""


class DataDigests:
    """A digest of the data of each complete subtree, and of all shares.

    Args:
        wants: Whether digests of a level are needed.
    """

    def __init__(self, wants: Callable[[int], bool]) -> None:
        self._wants = wants
        self._tree: MergeTree[str] = MergeTree(_join, self._note)
        self._subtrees: dict[tuple[int, int], str] = {}
        #: The files of each folder with a header by their names without ending, listed once.
        self._by_stem: dict[Path, dict[str, list[Path]]] = {}

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

    def _state_of(self, value: str) -> str:
        """Sizes and times of a file, and of what it may be the header of; empty for no file."""
        file = Path(value)
        if not file.is_absolute():
            return ""
        files = [file]
        if file.suffix.lower() == HEADER:
            files += [file.with_suffix(""), *self._with_stem(file)]
        lines = []
        for one in files:
            with suppress(OSError):
                found = one.stat()
                lines.append(f"{one.name} {found.st_size} {found.st_mtime_ns}")
        return " ".join(lines)

    def _with_stem(self, header: Path) -> list[Path]:
        """The files beside a header that have its name, with any ending."""
        folder = header.parent
        if folder not in self._by_stem:
            by_stem: dict[str, list[Path]] = {}
            with suppress(OSError):
                for path in sorted(folder.iterdir()):
                    by_stem.setdefault(path.stem, []).append(path)
            self._by_stem[folder] = by_stem
        return self._by_stem[folder].get(header.stem, [])


def _join(parts: Sequence[str]) -> str:
    text = json.dumps(list(parts))
    return hashlib.sha256(text.encode()).hexdigest()
