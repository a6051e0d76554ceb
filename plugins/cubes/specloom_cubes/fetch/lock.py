"""The lock beside a data set: its revision, and size and hash of each file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from specloom import ConfigError, IntegrityError, write_json

LOCK = "data.lock.json"
VERSION = 1
CACHE = ".cache"
"""The folder within a data set where parts of files are."""

REVISION = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PIECE = 2**20


@dataclass(frozen=True)
class LockedFile:
    """What a file is.

    Args:
        size: In bytes.
        sha256: Its SHA-256, in hexadecimal digits.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class DataLock:
    """What a data set is.

    Args:
        repository: Its name on the hub.
        revision: The commit that it was taken from.
        license: As its card states it; empty where it states none.
        files: Its files by their paths within its folder.
    """

    repository: str
    revision: str
    license: str
    files: Mapping[str, LockedFile]


def read_lock(folder: Path) -> DataLock | None:
    """The lock of a data set; None where there is none yet.

    Raises:
        ConfigError: It is damaged.
    """
    path = folder / LOCK
    if not path.is_file():
        return None
    try:
        return _lock_of(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{path} is no lock of a data set: {type(error).__name__}: {str(error)[:80]}"
        fix = "restore it, or remove it to lock again what is there"
        raise ConfigError(what, fix=fix) from error


def write_lock(folder: Path, lock: DataLock) -> None:
    """Write the lock of a data set."""
    files = {name: asdict(lock.files[name]) for name in sorted(lock.files)}
    values = {
        "version": VERSION,
        "repository": lock.repository,
        "revision": lock.revision,
        "license": lock.license,
        "files": files,
    }
    write_json(folder / LOCK, values)


@dataclass(frozen=True)
class Hashes:
    """The hashes of a file.

    Args:
        size: In bytes.
        sha256: As locks and large files on the hub have it.
        blob: As Git has it (SHA-1), for small files on the hub.
    """

    size: int
    sha256: str
    blob: str


def hash_file(path: Path) -> Hashes:
    """Read a file once for all of its hashes."""
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            sha256.update(piece)
            blob.update(piece)
    return Hashes(size, sha256.hexdigest(), blob.hexdigest())


def check_locked(folder: Path, lock: DataLock) -> list[str]:
    """Compare the files of a data set with its lock, and list those that are not there.

    Raises:
        IntegrityError: A file has changed.
    """
    missing = []
    for name, locked in lock.files.items():
        path = folder / name
        if not path.is_file():
            missing.append(name)
            continue
        found = hash_file(path)
        if found.sha256 != locked.sha256:
            raise changed_file(path, found.sha256, locked.sha256)
    return missing


def changed_file(path: Path, found: str, locked: str) -> IntegrityError:
    """The error of a file that is not what the lock says."""
    return IntegrityError(
        f"{path} has the SHA-256 {found}, and {LOCK} has {locked}",
        fix="remove the file and fetch again; after a change of your own, remove the lock",
    )


def check_name(name: str) -> None:
    """Accept the path of a file that stays within the folder of its data set.

    Raises:
        ValueError: It leads out of it, or to what is not data.
    """
    path = PurePosixPath(name)
    parts = name.split("/")
    if path.is_absolute() or "\\" in name or "\0" in name or {"", ".", ".."} & {*parts}:
        raise ValueError(f"{name[:80]!r} leads out of the folder")
    if parts[0] == CACHE or name == LOCK:
        raise ValueError(f"{name!r} is a name that is used here")


def _lock_of(values: Any) -> DataLock:
    if values["version"] != VERSION:
        raise ValueError(f"it has the version {values['version']!r}")
    files = {}
    for name, file in values["files"].items():
        check_name(name)
        if type(file["size"]) is not int or SHA256.fullmatch(file["sha256"]) is None:
            raise ValueError(f"{name!r} has no size and SHA-256")
        files[name] = LockedFile(file["size"], file["sha256"])
    if REVISION.fullmatch(values["revision"]) is None:
        raise ValueError("it has no revision")
    return DataLock(str(values["repository"]), values["revision"], str(values["license"]), files)
