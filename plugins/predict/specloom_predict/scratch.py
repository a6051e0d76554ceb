"""Results on disk from the first tile on, and under their names only when they are complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import UnavailableError, process_tag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_predict.tiled_run import Allocate

SCRATCH = ".part-"
BETWEEN = ".between-"
"""How the names of files begin that only later nodes read; they go with the scratch folder."""


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """A context in which an error of the system becomes one about the folder.

    Raises:
        UnavailableError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror or error}"
        fix = "choose another folder with --out, or make room on the disk"
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            what = f"{folder} cannot be written: a file of that name is there, not a folder"
            fix = "choose another folder with --out"
        raise UnavailableError(what, fix=fix) from error


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder within ``folder`` for what is not complete; those of killed processes are removed.

    Its name carries host, process and a random part, so that it is of this process alone.
    """
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for scratch in folder.glob(f"{SCRATCH}*"):
            if _is_abandoned(scratch.name):
                shutil.rmtree(scratch, ignore_errors=True)
        scratch = folder / f"{SCRATCH}{process_tag()}"
        scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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


def _is_abandoned(name: str) -> bool:
    """Whether a scratch folder is of a process of this host that no longer runs."""
    parts = name.removeprefix(SCRATCH).split("-")
    this_host = process_tag().split("-")[0]
    if len(parts) != 3 or parts[0] != this_host:
        return False
    return not _runs(parts[1])


def _runs(process: str) -> bool:
    """Whether a process of this host runs; where that cannot be known, it does."""
    if os.name != "posix" or not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
