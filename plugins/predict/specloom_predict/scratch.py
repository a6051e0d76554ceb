"""Results on disk from the first tile on, and under their names only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import (
    UnavailableError,
    lock_abandoned,
    open_locked,
    process_tag,
    remove_abandoned,
    uninterrupted,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_predict.tiled_run import Allocate

SCRATCH = ".part-"
BETWEEN = ".between-"
"""How the names of files begin that only later nodes read; they go with the scratch folder."""


LOCK = ".lock"
"""The file in a scratch folder whose lock the process holds that works in it."""

LOST = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENOTCONN,
    )
)
"""Errors of a disk that is full or gone: what is written after them fails as well."""


class WriteError(UnavailableError):
    """A file of the results cannot be written.

    Args:
        what: As for every error, as are ``where`` and ``fix``.
        stops: Whether no other result could be written either.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", stops: bool = False) -> None:
        super().__init__(what, where=where, fix=fix)
        self.stops = stops


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """A context in which an error of the system becomes one about the folder.

    Raises:
        WriteError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except WriteError:
        raise
    except UnavailableError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        stops = error.__cause__.errno in LOST
        raise WriteError(error.what, where=error.where, fix=error.fix, stops=stops) from error
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror or error}"
        fix = "choose another folder with --out, or make room on the disk"
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            what = f"{folder} cannot be written: a file of that name is there, not a folder"
            fix = "choose another folder with --out"
        raise WriteError(what, fix=fix, stops=error.errno in LOST) from error


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder within ``folder`` for what is not complete; those of dead processes are removed.

    Its name carries host, process and a random part. As long as the process lives, it holds the
    lock of a file within, which every other process sees that sees the folder.
    """
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        scratch, handle = _make_scratch(folder)
    try:
        yield scratch
    finally:
        with uninterrupted():
            shutil.rmtree(scratch, ignore_errors=True)
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the scratch folders and unfinished files that dead processes left in a folder."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        remove_if_abandoned(scratch)
    remove_abandoned(folder)


def _make_scratch(folder: Path) -> tuple[Path, int]:
    """A new scratch folder, and the descriptor that holds its lock."""
    while True:
        scratch = folder / f"{SCRATCH}{process_tag()}"
        scratch.mkdir()
        try:
            handle = open_locked(scratch / LOCK)
        except FileNotFoundError:  # another process took it for abandoned before it had its lock
            continue
        if handle is not None:
            return scratch, handle


def remove_if_abandoned(scratch: Path) -> None:
    """Remove a folder of unfinished results whose lock no process holds."""
    if scratch.is_symlink() or not scratch.is_dir():
        return
    handle = lock_abandoned(scratch / LOCK)
    if handle is not None:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(handle)


def allocate_files(scratch: Path, names: Mapping[str, str]) -> Allocate:
    """A function that makes the array of a value as ``<name>.npy`` in ``scratch``.

    Args:
        scratch: The folder.
        names: The name for each wanted value ``node.port``.
    """

    def allocate(end: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = shape[1:3] if shape[3:] == (1,) else shape[1:]
        path = scratch / f"{names.get(end, BETWEEN + end)}.npy"
        with write_errors(scratch.parent):
            array = np.lib.format.open_memmap(path, "w+", dtype, size)
            _reserve(path)
        return array.reshape(shape)

    return allocate


def move_files(scratch: Path, folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Move complete files from ``scratch`` into ``folder``; each appears in one step."""
    found = {}
    with write_errors(folder):
        for name in names:
            with (scratch / name).open("rb") as file:
                os.fsync(file.fileno())
            found[name] = (scratch / name).replace(folder / name)
    return found


def _reserve(path: Path) -> None:
    """Take the space of a file on the disk now.

    On a full disk a write into a mapped file would kill the process later.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
