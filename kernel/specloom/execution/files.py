"""Files that are written in one step, and hashes of what they hold."""

import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from platform import node as host_name
from typing import Any

from specloom.contract.errors import UnavailableError
from specloom.execution.file_locks import lock_abandoned, open_locked
from specloom.execution.termination import uninterrupted

#: A hidden name with host, process and a random part at its end, or with a process as in 0.1.
TEMPORARY = re.compile(r"\..+\.(\w*-\d+-[0-9a-f]{8}|\w+\.\d+)", re.ASCII | re.DOTALL)

#: Whether an open file cannot be renamed.
CLOSED_FIRST = os.name == "nt"


def write_file(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file in one step: readers see the old contents or the new ones, never a part.

    A device or a pipe, such as ``/dev/null``, is written to and stays what it is.

    Args:
        path: The file.
        data: What it is to hold.
        sync: Whether the disk has it before it gets its name, so that a power cut leaves a whole
            file; it takes the disk some milliseconds.

    Raises:
        UnavailableError: The disk is full, or the folder cannot be written.
    """
    if not path.name:
        what = f"{str(path)!r} cannot be written: it is a folder"
        raise UnavailableError(what, fix="give the name of a file")
    folder = _file_among(path.parents)
    if folder is not None:
        what = f"{path} cannot be written: {folder} is a file, not a folder"
        raise UnavailableError(what, fix="choose another folder with --out")
    try:
        if _is_device(path):
            path.write_bytes(data)
        else:
            _replace(path, data, sync=sync)
    except OSError as e:
        what = f"{path} cannot be written: {e.strerror}"
        fix = "choose another folder with --out, or make room on the disk"
        raise UnavailableError(what, fix=fix) from e


def _file_among(parents: Iterable[Path]) -> Path | None:
    """The first of some folders that is a file; None where none is."""
    for parent in parents:
        with suppress(OSError):
            if parent.is_file():
                return parent
    return None


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    """Write a value as readable JSON in one step, as ``write_file`` does."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    write_file(path, f"{text}\n".encode(), sync=sync)


def process_tag() -> str:
    """Host, process and a random part, such as ``node7-4711-9f2c11d0``.

    A file or folder with it in its name is of this process alone, also in a folder that several
    machines or containers share.
    """
    host = re.sub(r"\W", "_", host_name(), flags=re.ASCII)[:32]
    process = os.getpid()
    random = os.urandom(4).hex()
    return f"{host}-{process}-{random}"


def temporary_name(name: str) -> str:
    """A hidden name for a file that is to be ``name``, short enough for every file system."""
    return f".{name[:40]}.{process_tag()}"


def is_temporary(name: str) -> bool:
    """Whether a file has a name that ``write_file`` gives a file until it is complete.

    Names of version 0.1 count too: they carry the process alone.
    """
    return TEMPORARY.fullmatch(name) is not None


def sha256(data: bytes) -> str:
    """The SHA-256 of data, in hexadecimal digits."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _is_device(path: Path) -> bool:
    if path.is_file() or path.is_dir():
        return False
    return path.exists()


def remove_abandoned(folder: Path, belongs: Callable[[str], bool] = is_temporary) -> None:
    """Remove the files that dead processes left in a folder, and whose lock they held.

    Args:
        folder: The folder.
        belongs: Whether a file of that name is one of them; by default those of ``write_file``.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if belongs(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    handle = lock_abandoned(path)
    if handle is None:
        return
    with suppress(OSError):
        path.unlink()
    os.close(handle)


def _replace(path: Path, data: bytes, *, sync: bool) -> None:
    """Write a temporary file in the same folder, and rename it.

    Its lock is held until it has its name, so that no other process takes it for abandoned.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _open_temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
            if not CLOSED_FIRST:
                temporary.replace(path)
        if CLOSED_FIRST:
            temporary.replace(path)
    finally:
        with suppress(OSError), uninterrupted():
            temporary.unlink()


def _open_temporary(path: Path) -> tuple[Path, int]:
    """A new file beside ``path``, open and locked.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        temporary = path.with_name(temporary_name(path.name))
        handle = open_locked(temporary)
        if handle is not None:
            return temporary, handle
