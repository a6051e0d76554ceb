"""The ledger of a folder of results: one line of JSON for each cube that was finished.

Each call writes a file of its own, ``ledger/<start>-<number>.jsonl``. A repeated call reads these
files, and not the record in the folder of each cube.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

from specloom_predict import record
from specloom_predict.record import LEDGER, RECORD, SCALES, Record
from specloom_predict.scratch import write_errors
from specloom_predict.spool import Spool

SYNC_INTERVAL = 1.0
"""Seconds after which lines are on the disk, and not only with the operating system."""

Line: TypeAlias = Mapping[str, Any]
"""What became of one cube: ``input``, ``folder``, ``of``, ``files``, ``seconds``, ``worker``, …"""

FROM_RECORD = ("of", "formats", "files", "measures", "domain", SCALES)
"""The entries of a record that are also those of a line."""


def line_of(out: Path, folder: Path) -> dict[str, Any] | None:
    """The line of a folder whose record is complete, from that record; None of any other folder.

    Args:
        out: The folder of all results.
        folder: The folder of the results of one cube.
    """
    state = record_state(folder)
    known = record.read(folder)
    if state is None or known.get("complete") is not True or "input" not in known:
        return None
    entries = {name: known[name] for name in FROM_RECORD if name in known}
    place = folder.relative_to(out).as_posix()
    now = round(time.time(), 3)
    return {"input": known["input"], "folder": place, "record": state, "time": now, **entries}


def record_state(folder: Path) -> list[int] | None:
    """Size and time of the last change of the record in a folder; None where there is none."""
    with suppress(OSError):
        state = (folder / RECORD).stat()
        return [state.st_size, state.st_mtime_ns]
    return None


def has_ledger(out: Path) -> bool:
    """Whether a folder has a ledger; those of version 0.2 have none."""
    return (out / LEDGER).is_dir()


def read_lines(out: Path) -> Iterator[dict[str, Any]]:
    """The lines of all calls so far, in the order of these; what is damaged is left out."""
    for path in sorted((out / LEDGER).glob("*.jsonl")):
        with suppress(OSError), path.open("rb") as file:
            yield from _lines_in(file)


def _lines_in(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    for part in file:
        with suppress(ValueError, RecursionError):
            line = json.loads(part)
            if _is_line(line):
                yield line


def _time(line: Line) -> float:
    """When a line was written, in seconds; 0 where it does not say so."""
    time_of_line = line.get("time")
    return float(time_of_line) if isinstance(time_of_line, int | float) else 0.0


def _is_line(line: Any) -> bool:
    """Whether a value of JSON is a line, whose folder lies within that of all results."""
    if not isinstance(line, dict):
        return False
    if not isinstance(line.get("input"), str) or not isinstance(line.get("folder"), str):
        return False
    return record.is_within(line["folder"])


class Ledger:
    """What became of the cubes of a folder of results, by input; lines are read when they are used.

    Args:
        out: The folder of all results.
        lines: The lines of earlier calls; of an input the latest one counts.
    """

    def __init__(self, out: Path, lines: Iterable[Line] = ()) -> None:
        self.out = out
        self._lines: Spool[Line] = Spool()
        #: Where the latest line of each input is, by the hash of the input, which is smaller.
        self._places: dict[int, int] = {}
        for line in lines:
            known = self.line(line["input"]) or {}
            if _time(line) >= _time(known):
                self.add(line)

    @staticmethod
    def read(out: Path) -> Ledger:
        """The ledger of a folder, made from the records within where it has none."""
        if has_ledger(out):
            return Ledger(out, read_lines(out))
        folders = record.owners(out).values()
        lines = (line_of(out, folder) for folder in folders)
        return Ledger(out, (line for line in lines if line is not None))

    def folder(self, key: str) -> Path | None:
        """The folder of the results of an input; None where it has none."""
        line = self.line(key)
        if line is None:
            return None
        folder: str = line["folder"]
        return self.out / folder

    def folders(self) -> Iterator[Path]:
        """The folders of the results of all inputs."""
        for line in self.lines():
            yield self.out / line["folder"]

    def lines(self) -> Iterator[Line]:
        """The latest line of each input."""
        for place in self._places.values():
            yield self._lines[place]

    def line(self, key: str) -> Line | None:
        """The latest line of an input."""
        place = self._places.get(hash(key))
        if place is None:
            return None
        line = self._lines[place]
        if line["input"] != key:  # of an input with the same hash; that one is predicted again
            return None
        return line

    def complete(
        self, key: str, folder: Path, stamped: Record, formats: Iterable[str], *, verify: bool
    ) -> Line | None:
        """The line of an input whose results are complete and up to date; None otherwise.

        Args:
            key: The input.
            folder: The folder of its results.
            stamped: What they depend on, as it is now.
            formats: The formats that are wanted.
            verify: Whether to look at each file; without, only at its record.
        """
        line = self.line(key)
        if line is None or line.get("errors"):
            return None
        if self.out / line["folder"] != folder:
            return None
        if not record.fits({**line, "complete": True}, stamped, formats):
            return None
        if record_state(folder) != line.get("record"):
            return None
        if verify and not record.has_files(line, folder):
            return None
        return line

    def add(self, line: Line) -> None:
        """Take in a line."""
        self._places[hash(line["input"])] = len(self._lines)
        self._lines.append(line)


class LedgerFile:
    """The lines of one call, each written as soon as it is known.

    Args:
        out: The folder of all results.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / LEDGER
        self._file: IO[bytes] | None = None
        self._synced = time.monotonic()
        now = datetime.now(UTC)
        self._start = f"{now:%Y%m%dT%H%M%SZ}"
        with write_errors(out):
            self._folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> LedgerFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # each line was written when it was added
            self.close()

    def add(self, line: Line) -> None:
        """Write a line; at the latest after a second the disk has it.

        Raises:
            WriteError: It cannot be written.
        """
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        with write_errors(self._folder):
            if self._file is None:
                self._file = self._new_file()
            self._file.write(f"{text}\n".encode())
            now = time.monotonic()
            if now - self._synced >= SYNC_INTERVAL:
                os.fsync(self._file.fileno())
                self._synced = now

    def close(self) -> None:
        """Write what is left to the disk."""
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
            self._file = None

    def _new_file(self) -> IO[bytes]:
        """A file that no other call has, which passes each line to the system at once."""
        number = 0
        while True:
            path = self._folder / f"{self._start}-{number}.jsonl"
            try:
                return path.open("xb", buffering=0)
            except FileExistsError:
                number += 1
