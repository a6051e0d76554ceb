"""Totals of subtrees in a folder, with which a job goes on after its process was killed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import safetensors

from specloom import (
    IntegrityError,
    Job,
    MergeTree,
    Share,
    SpecloomWarning,
    Subtree,
    remove_abandoned,
    write_file,
)
from specloom_jobs.digests import DataDigests

PART_LEVEL = 3
"""Totals of this level and above are stored: of 512 shares, 4,096 and so on."""

KEY_DIGITS = 32
NAME = re.compile(r"(\d+)-(\d+)\.safetensors", re.ASCII)
TOTAL = "total.safetensors"

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What comes of a file that is damaged, besides ``SafetensorError``."""


class JobParts:
    """The totals of a job's complete subtrees, and of all its shares, in a folder.

    Nothing counts that belongs to another job, to other data or to files that have changed.

    Args:
        folder: The folder of the parts of a run.
        job: The job.
        variant: What else results depend on, such as the kind of device.
    """

    def __init__(self, folder: Path, job: Job, variant: str = "") -> None:
        self._key = hashlib.sha256(f"{job.key} {variant}".encode()).hexdigest()
        #: Where the parts are.
        self.folder = folder / self._key[:KEY_DIGITS]
        self._digests = DataDigests(self.wants)
        self._subtrees: list[Subtree] = []
        self._has_looked = False
        #: All that there is of the job, where it came to its end.
        self.total: bytes | None = None
        #: How many shares the stored subtrees have.
        self.shares_found = 0

    def look(self, shares: Iterable[Share], *, totals_only: bool = False) -> None:
        """Read what an earlier process stored, if anything.

        A part that is damaged is reported by a warning, and made again.

        Args:
            shares: All shares of the job.
            totals_only: Whether subtrees are left alone, as the executor cannot use them.
        """
        if not self.folder.is_dir():
            return
        count = 0
        for share in shares:
            self._digests.add(share)
            count += 1
        self._has_looked = True
        remove_abandoned(self.folder)
        total = self.folder / TOTAL
        if count and total.is_file():
            self.total = self._read(total, self._digests.of_all())
        if self.total is not None:
            self.shares_found = count
        if self.total is not None or totals_only:
            return
        for level, number in sorted(self._names(), reverse=True):
            self._look_at_subtree(level, number)

    def missing(self, shares: Iterable[Share]) -> Iterator[Share]:
        """The shares that are in no stored subtree."""
        for share in shares:
            if not self._has_looked:
                self._digests.add(share)
            if not self._covers(0, share.number):
                yield share

    def subtrees(self) -> Sequence[Subtree]:
        """The stored subtrees; none of them covers another."""
        return self._subtrees

    def wants(self, level: int) -> bool:
        """Whether totals of this level are stored."""
        return level >= PART_LEVEL

    def store(self, subtree: Subtree) -> None:
        """Store the total of a subtree, in place of those within it.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        digest = self._digests.of_subtree(subtree.level, subtree.number)
        self._write(self._path(subtree.level, subtree.number), subtree.data, digest)
        for child in range(MergeTree.children):
            path = self._path(subtree.level - 1, subtree.number * MergeTree.children + child)
            path.unlink(missing_ok=True)

    def store_total(self, data: bytes) -> None:
        """Store the total of all shares, in place of those of subtrees.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        self._write(self.folder / TOTAL, data, self._digests.of_all())
        for level, number in self._names():
            self._path(level, number).unlink(missing_ok=True)

    def _look_at_subtree(self, level: int, number: int) -> None:
        path = self._path(level, number)
        if self._covers(level, number):
            path.unlink(missing_ok=True)
            return
        data = self._read(path, self._digests.of_subtree(level, number))
        if data is not None:
            self._subtrees.append(Subtree(level, number, data))
            self.shares_found += MergeTree.children**level

    def _covers(self, level: int, number: int) -> bool:
        """Whether a stored subtree has this one within it, or is it."""
        for one in self._subtrees:
            if (
                one.level >= level
                and number // MergeTree.children ** (one.level - level) == one.number
            ):
                return True
        return False

    def _path(self, level: int, number: int) -> Path:
        return self.folder / f"{level}-{number}.safetensors"

    def _names(self) -> list[tuple[int, int]]:
        """Level and number of each subtree that has a file."""
        found = []
        for path in self.folder.glob("*.safetensors"):
            match = NAME.fullmatch(path.name)
            if match is not None:
                found.append((int(match[1]), int(match[2])))
        return found

    def _write(self, path: Path, data: bytes, digest: str) -> None:
        about = {"job": self._key, "of": digest, "sha256": hashlib.sha256(data).hexdigest()}
        entries = {"part": data, "about": json.dumps(about).encode()}
        write_file(path, _pack(entries))

    def _read(self, path: Path, digest: str) -> bytes | None:
        """The total in a file; None where it is of other data, or damaged."""
        try:
            entries = _unpack(path.read_bytes())
            data = entries["part"]
            about = json.loads(entries["about"])
            is_whole = about["sha256"] == hashlib.sha256(data).hexdigest()
            is_current = about["job"] == self._key and about["of"] == digest
        except (*UNREADABLE, safetensors.SafetensorError):
            is_whole = False
        if not is_whole:
            problem = IntegrityError(
                f"{path} is damaged: its shares are done again", fix="check the disk"
            )
            warnings.warn(str(problem), SpecloomWarning, stacklevel=4)
        if is_whole and is_current:
            return data
        path.unlink(missing_ok=True)
        return None


def _pack(entries: Mapping[str, bytes]) -> bytes:
    """Bytes by name as safetensors."""
    import numpy as np  # only here, as a run without parts needs neither
    from safetensors.numpy import save

    return save({name: np.frombuffer(data, np.uint8) for name, data in entries.items()})


def _unpack(data: bytes) -> dict[str, bytes]:
    """The bytes that ``_pack`` packed.

    Raises:
        SafetensorError: It is no safetensors.
    """
    from safetensors.numpy import load

    return {name: array.tobytes() for name, array in load(data).items()}


def remove_parts(folder: Path) -> None:
    """Remove the folder of the parts of a run."""
    shutil.rmtree(folder, ignore_errors=True)


def total_by_parts(
    parts: JobParts,
    shares: Callable[[], Iterable[Share]],
    work: Callable[[Iterator[Share]], bytes],
) -> bytes:
    """The total of a job, without the work that an earlier process did, and stored at the end.

    Args:
        parts: The parts of the job, which were looked at.
        shares: Gives all shares of the job.
        work: Gives the total of the shares that are missing and of ``parts``.

    Raises:
        SpecloomError: A share failed.
        UnavailableError: The folder of the parts cannot be written.
    """
    if parts.total is not None:
        return parts.total
    total = work(parts.missing(shares()))
    parts.store_total(total)
    return total
