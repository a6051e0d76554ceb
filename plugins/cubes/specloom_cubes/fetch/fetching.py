"""A data set fetched in steps: what is there, what is missing, its download, its lock."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_cubes.fetch import hub
from specloom_cubes.fetch.lock import (
    LOCK,
    DataLock,
    Hashes,
    LockedFile,
    changed_file,
    check_locked,
    hash_file,
    read_lock,
    write_lock,
)


@dataclass(frozen=True)
class Plan:
    """What a fetch will do.

    Args:
        taken: The data set.
        folder: Where its files go.
        present: The files that are there, with their hashes.
        missing: The files to download.
        locked: What the lock says of files, by their names.
    """

    taken: hub.Snapshot
    folder: Path
    present: dict[str, Hashes]
    missing: tuple[hub.RemoteFile, ...]
    locked: dict[str, LockedFile]

    def missing_bytes(self) -> int:
        """What is to be downloaded in all."""
        return sum(file.size for file in self.missing)


def locked_data(repository: str, folder: Path) -> DataLock | None:
    """The lock of a data set in a folder.

    Raises:
        ConfigError: Another data set is in the folder.
    """
    lock = read_lock(folder)
    if lock is not None and lock.repository.lower() != repository.lower():
        raise ConfigError(
            f"{folder} has the data set {lock.repository}, not {repository}",
            fix="name another folder with --out",
        )
    return lock


def is_complete(lock: DataLock, folder: Path) -> bool:
    """Whether all files are there, as they were locked.

    Raises:
        IntegrityError: A file has changed.
    """
    return not check_locked(folder, lock)


def plan_fetch(
    repository: str, folder: Path, lock: DataLock | None, revision: str | None, *, update: bool
) -> Plan:
    """Compare what is in a folder with what the hub has, at the locked revision if there is one.

    Args:
        repository: The data set.
        folder: Where its files go.
        lock: What was locked there.
        revision: The revision to take, where none is locked; by default the newest.
        update: Take the revision although another is locked.

    Raises:
        ConfigError: Another revision is locked.
        IntegrityError: A file there, or on the hub, is not what was locked.
        UnavailableError: The hub cannot be reached, or has no such data set.
    """
    locked: dict[str, LockedFile] = {}
    if lock is not None and not update:
        if revision is not None and not lock.revision.startswith(revision):
            raise ConfigError(
                f"{folder / LOCK} has the revision {lock.revision}, not {revision}",
                fix="add --update to take another revision",
            )
        revision = lock.revision
        locked = dict(lock.files)
    if lock is not None:
        check_locked(folder, lock)
    taken = hub.snapshot(repository, revision)
    _check_hub(taken, locked)
    present: dict[str, Hashes] = {}
    missing = []
    for file in taken.files:
        path = folder / file.name
        if not path.is_file():
            missing.append(file)
            continue
        hashes = hash_file(path)
        if fits(hashes, file):
            present[file.name] = hashes
        elif lock is not None and file.name in lock.files:
            missing.append(file)  # it is as locked, and has changed on the hub
        else:
            raise IntegrityError(
                f"{path} has the SHA-256 {hashes.sha256}, and {repository} has "
                f"{file.sha256 or file.blob + ' (Git)'}",
                fix="move the file away, or name another folder with --out",
            )
    return Plan(taken, folder, present, tuple(missing), locked)


def fits(hashes: Hashes, file: hub.RemoteFile) -> bool:
    """Whether a file is what the hub says of it."""
    if file.sha256:
        return hashes.sha256 == file.sha256
    return hashes.blob == file.blob


def check_disk(plan: Plan) -> None:
    """Accept a download that the disk has room for.

    Raises:
        UnavailableError: It has not.
    """
    needed = plan.missing_bytes() - hub.partial_bytes(plan.folder)
    free = free_bytes(plan.folder)
    if needed > free:
        raise UnavailableError(
            f"{plan.folder} needs {needed / 1e9:.2f} GB, and its disk has {free / 1e9:.2f} GB free",
            fix="make room, or name a folder on another disk with --out",
        )


def free_bytes(folder: Path) -> int:
    """The room on the disk of a folder that may not be there yet."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def carry_out(plan: Plan, report: Callable[[hub.RemoteFile], None]) -> DataLock:
    """Download what is missing, compare each file with its hash, and write the lock.

    Args:
        plan: What to do.
        report: Called with each file before it is downloaded.

    Raises:
        IntegrityError: A file that was downloaded is not what the hub says, or what was locked.
        UnavailableError: The transfer was cut.
    """
    files = {}
    for name, hashes in plan.present.items():
        files[name] = LockedFile(hashes.size, hashes.sha256)
    plan.folder.mkdir(parents=True, exist_ok=True)
    for file in plan.missing:
        report(file)
        with hub.only_fetch(plan.folder):
            hashes = _download(plan, file)
        files[file.name] = LockedFile(hashes.size, hashes.sha256)
    lock = DataLock(plan.taken.repository, plan.taken.revision, plan.taken.license, files)
    write_lock(plan.folder, lock)
    return lock


def _download(plan: Plan, file: hub.RemoteFile) -> Hashes:
    """Download a file, compare it with its hash, and move it to its place."""
    path = plan.folder / file.name
    if path.is_file():  # another process downloaded it in the meantime
        hashes = hash_file(path)
        if fits(hashes, file):
            return hashes
    part = hub.download(plan.taken, file, plan.folder)
    hashes = hash_file(part)
    try:
        _check_download(path, hashes, file, plan.locked.get(file.name))
    except IntegrityError:
        part.unlink()
        raise
    path.parent.mkdir(parents=True, exist_ok=True)
    part.replace(path)
    return hashes


def _check_hub(taken: hub.Snapshot, locked: dict[str, LockedFile]) -> None:
    """Accept a data set that has the files that were locked, as far as the hub has their hashes."""
    if not locked:
        return
    on_hub = {file.name: file for file in taken.files}
    for name, file in locked.items():
        if name not in on_hub:
            raise IntegrityError(
                f"{LOCK} has {name}, which {taken.repository} has no more at {taken.revision}",
                fix="report it to the owner of the data set; --update takes the present revision",
            )
        found = on_hub[name].sha256
        if found and found != file.sha256:
            raise IntegrityError(
                f"{taken.repository} has {name} with the SHA-256 {found}, and {LOCK} has "
                f"{file.sha256}",
                fix="report it to the owner of the data set: a revision never changes",
            )


def _check_download(
    path: Path, hashes: Hashes, file: hub.RemoteFile, locked: LockedFile | None
) -> None:
    if locked is not None and hashes.sha256 != locked.sha256:
        raise changed_file(path, hashes.sha256, locked.sha256)
    if not fits(hashes, file):
        found = hashes.sha256
        if not file.sha256:
            found = hashes.blob
        raise IntegrityError(
            f"{path} was downloaded with the hash {found}, and the hub states "
            f"{file.sha256 or file.blob}: it was removed",
            fix=hub.AGAIN,
        )
