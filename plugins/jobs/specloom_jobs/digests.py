"""Digests of the data of subtrees: what their tickets say, and the state of the files they name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from specloom import MergeTree, Share

HEADER = ".hdr"
"""The ending of ENVI headers; the pixels have any other one, or none."""

REFERENCE = re.compile("white|dark", re.IGNORECASE)
"""What is in the names of the references of captures, which tickets need not name."""


class DataDigests:
    """A digest of the data of each complete subtree, and of all shares.

    Args:
        wants: Whether digests of a level are needed.
    """

    def __init__(self, wants: Callable[[int], bool]) -> None:
        self._wants = wants
        self._tree: MergeTree[str] = MergeTree(_join, self._note)
        self._subtrees: dict[tuple[int, int], str] = {}
        self._first_states: dict[str, str] = {}
        self._stems: dict[Path, Mapping[str, list[Path]]] = {}
        self._states_of_references: dict[Path, str] = {}

    def add(self, share: Share) -> None:
        """Take in the next share, before it is read."""
        parts = []
        for ticket in share.tickets:
            parts.append(json.dumps(ticket, sort_keys=True))
            for value in ticket.values():
                if isinstance(value, str):
                    parts.append(self._state_of(value))
                else:  # such as a reading, whose references are those of all tickets
                    parts += [self._first_state_of(text) for text in _texts_in(value)]
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

    def _first_state_of(self, text: str) -> str:
        """What ``_state_of`` first gave for a text."""
        if text not in self._first_states:
            self._first_states[text] = self._state_of(text)
        return self._first_states[text]

    def _state_of(self, text: str) -> str:
        """Sizes and times of a file, and of what it may be the header of; empty for no file."""
        file = Path(text)
        if not file.is_absolute():
            return ""
        if file.suffix.lower() != HEADER:
            return _states([file])
        pixels = self._by_stem(file.parent).get(file.stem.lower(), [])
        states = _states([file, file.with_suffix(""), *pixels])
        here = self._references(file.parent)
        above = self._references(file.parent.parent)
        return f"{states} {here} {above}"

    def _by_stem(self, folder: Path) -> Mapping[str, list[Path]]:
        """The files that a folder first had, by their names without ending, in lower case."""
        if folder not in self._stems:
            by_stem: dict[str, list[Path]] = {}
            for path in _files_in(folder):
                by_stem.setdefault(path.stem.lower(), []).append(path)
            self._stems[folder] = by_stem
        return self._stems[folder]

    def _references(self, folder: Path) -> str:
        """A digest of what may be references of captures in a folder, as they first were."""
        if folder not in self._states_of_references:
            named = [path for path in _files_in(folder) if REFERENCE.search(path.name)]
            states = _states(path for path in named if path.is_file())
            self._states_of_references[folder] = _join([states])
        return self._states_of_references[folder]


def _files_in(folder: Path) -> list[Path]:
    """What a folder holds, sorted; nothing where it cannot be read."""
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _texts_in(value: Any) -> Iterator[str]:
    """The texts in a value of JSON, also those within lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts_in(one)


def _states(files: Iterable[Path]) -> str:
    """Name, size and time of those of some files that are there."""
    lines = []
    for file in files:
        with suppress(OSError):
            found = file.stat()
            lines.append(f"{file.name} {found.st_size} {found.st_mtime_ns}")
    return " ".join(lines)


def _join(parts: Sequence[str]) -> str:
    text = json.dumps(list(parts))
    return hashlib.sha256(text.encode()).hexdigest()
