"""Whether the files of a cube are as they were before it was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from specloom import DataError

State: TypeAlias = Mapping[str, Sequence[int]]
"""Size and time of the last change of each file, in bytes and nanoseconds, by name.

A further file of one name, such as a reference in another folder, has its path.
"""


def states_of(files: Iterable[Path]) -> dict[str, list[int]]:
    """The state of those of some files that are there."""
    states = {}
    for path in files:
        try:
            state = path.stat()
        except OSError:
            continue
        if path.is_file():
            name = path.name if path.name not in states else str(path)
            states[name] = [state.st_size, state.st_mtime_ns]
    return states


@dataclass(frozen=True)
class InputState:
    """The files of a cube as they were before it was opened.

    Args:
        address: What messages call the cube.
        files: Its files.
        before: Their state.
    """

    address: str
    files: Sequence[Path]
    before: State

    @staticmethod
    def of(address: str, files: Iterable[Path]) -> InputState:
        """The present state."""
        present = list(files)
        return InputState(address, present, states_of(present))

    def changed(self) -> bool:
        """Whether a file is other than it was."""
        return states_of(self.files) != self.before

    def check(self) -> None:
        """Refuse what was made of a cube while its files changed.

        Raises:
            DataError: They did.
        """
        if self.changed():
            raise self.error()

    def error(self) -> DataError:
        """The error of a cube that was changed."""
        what = f"{self.address} was changed while it was read"
        return DataError(what, fix="predict it again when its file is complete")
