"""Files that are written in one step, and hashes of what they hold."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from specloom.contract.errors import UnavailableError


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: readers see the old contents or the new ones, never a part.

    A device or a pipe, such as ``/dev/null``, is written to and stays what it is.

    Raises:
        UnavailableError: The disk is full, or the folder cannot be written.
    """
    if not path.name:
        fix = "give the name of a file"
        raise UnavailableError(f"{str(path)!r} cannot be written: it is a folder", fix=fix)
    try:
        if _is_device(path):
            path.write_bytes(data)
        else:
            _replace(path, data)
    except OSError as e:
        fix = "choose another folder with --out, or make room on the disk"
        raise UnavailableError(f"{path} cannot be written: {e.strerror}", fix=fix) from e


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON in one step."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())


def sha256(data: bytes) -> str:
    """The SHA-256 of data, in hexadecimal digits."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _replace(path: Path, data: bytes) -> None:
    """Write a temporary file in the same folder, and rename it.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()
