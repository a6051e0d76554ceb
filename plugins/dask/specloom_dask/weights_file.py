"""Weights of a job that are too large for the scheduler: workers read them from a file.

The file lies in the folder of results, which workers share. Its name has the hash of the weights,
and the process that writes it, which removes it when the job is done.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specloom import (
    IntegrityError,
    UnavailableError,
    open_locked,
    process_tag,
    remove_abandoned,
    uninterrupted,
)
from specloom_dask.handshake import worker_name

MOST_BYTES = 64 * 1024 * 1024
"""Weights of more bytes do not travel through the scheduler."""

PREFIX = ".weights-"
FILE = "weights_file"
HASH = "weights_sha256"
"""The entries of a job as plain values that stand for its weights."""

_tag = process_tag()


@contextmanager
def weights_aside(packed: dict[str, Any], folder: Path | None) -> Iterator[dict[str, Any]]:
    """A job as plain values, with its weights in a file as long as the context is open.

    Small weights stay where they are, and so do all weights where there is no folder.

    Args:
        packed: The job as plain values.
        folder: The folder of results; None where there is none.

    Raises:
        UnavailableError: The file cannot be written.
    """
    weights = packed["weights"]
    if len(weights) <= MOST_BYTES or folder is None or not folder.is_dir():
        yield packed
        return
    remove_abandoned(folder, lambda name: name.startswith(PREFIX))
    digest = hashlib.sha256(weights).hexdigest()
    path, handle = _open(folder.resolve(), digest)
    try:
        _write(path, handle, weights)
        # Workers hold what they made of a job by its key: of another file it is another one.
        key = hashlib.sha256(f"{packed['key']} {path}".encode()).hexdigest()
        yield {**packed, "weights": b"", FILE: str(path), HASH: digest, "key": key}
    finally:
        with uninterrupted():
            path.unlink(missing_ok=True)
            os.close(handle)


def paths_of(packed: Mapping[str, Any]) -> list[str]:
    """The file of the weights that workers must see, where there is one."""
    if FILE not in packed:
        return []
    return [packed[FILE]]


def with_weights(packed: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job as plain values, with its weights.

    Raises:
        UnavailableError: This process does not see their file.
        IntegrityError: The file is not what was written.
    """
    if FILE not in packed:
        return packed
    path = packed[FILE]
    try:
        weights = Path(path).read_bytes()
    except OSError as error:
        raise UnavailableError(
            f"{path} with the weights of the job cannot be read: {error.strerror or error}",
            where=f"worker {worker_name()}",
            fix="use a folder for results that all machines share",
        ) from error
    if hashlib.sha256(weights).hexdigest() != packed[HASH]:
        what = f"{path} with the weights of the job was changed by another program"
        raise IntegrityError(what, where=f"worker {worker_name()}", fix="repeat the command")
    return {**packed, "weights": weights}


def _open(folder: Path, digest: str) -> tuple[Path, int]:
    """A file that no other job uses, and the descriptor that holds its lock.

    Raises:
        UnavailableError: It cannot be made.
    """
    tag = _tag
    while True:
        path = folder / f"{PREFIX}{digest}-{tag}.safetensors"
        try:
            handle = open_locked(path)
        except OSError as error:
            raise _not_written(path, error) from error
        if handle is not None:
            return path, handle
        tag = process_tag()  # another job of this process has the same weights


def _write(path: Path, handle: int, weights: bytes) -> None:
    """Write the weights; the disk need not have them before the job is done.

    Raises:
        UnavailableError: They cannot be written.
    """
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(weights)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> UnavailableError:
    what = f"{path} with the weights of the job cannot be written: {error.strerror or error}"
    return UnavailableError(what, fix="choose another folder with --out, or make room on the disk")
