"""The cube that a process works on, so that the next call finds what it left when it was killed.

Each process that writes results has a hidden file in the folder of the ledger, with the folder of
its present cube. It holds the lock of the file, so that others know whether it lives.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from specloom import lock_abandoned, open_locked, process_tag
from specloom_predict import record
from specloom_predict.record import LEDGER
from specloom_predict.scratch import remove_leftovers

PREFIX = ".work-"


class InWork:
    """The note of one process on the cube that it works on.

    Args:
        out: The folder of all results.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path: Path | None = None
        self._handle: int | None = None

    def __enter__(self) -> InWork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def note(self, folder: Path) -> None:
        """Note the folder of the cube that comes next.

        Raises:
            OSError: It cannot be written.
        """
        handle = self._open()
        text = json.dumps({"folder": folder.relative_to(self._out).as_posix()})
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)

    def close(self) -> None:
        """Remove the note: nothing is in work."""
        if self._handle is None or self._path is None:
            return
        with suppress(OSError):
            self._path.unlink()
        os.close(self._handle)
        self._handle = None

    def _open(self) -> int:
        while self._handle is None:
            self._path = self._out / LEDGER / f"{PREFIX}{process_tag()}"
            self._handle = open_locked(self._path)
        return self._handle


def remove_abandoned_work(out: Path) -> None:
    """Remove what processes left that were killed while they worked on a cube.

    Args:
        out: The folder of all results.
    """
    for note in (out / LEDGER).glob(f"{PREFIX}*"):
        handle = lock_abandoned(note)
        if handle is None:
            continue
        with suppress(OSError):
            folder = _folder_in(os.pread(handle, 65536, 0))
            if folder is not None:
                remove_leftovers(out / folder)
                record.release(out / folder)
            note.unlink()
        os.close(handle)


def _folder_in(text: bytes) -> str | None:
    """The folder that a note names, which lies within that of all results; None without any."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        folder = found.get("folder") if isinstance(found, dict) else None
        if isinstance(folder, str) and record.is_within(folder):
            return folder
    return None
