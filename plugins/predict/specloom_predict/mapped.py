"""Results on disk from the first tile on, and under their names only when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_predict.tiles import Allocate

SCRATCH = ".part-"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A context in which an error of the system is told as one of the folder.

    Raises:
        UnavailableError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as e:
        raise UnavailableError(
            f"{folder} cannot be written: {e.strerror or e}",
            fix="choose another folder with --out, or make room on the disk",
        ) from e


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """A folder within ``folder`` for what is not complete; those of killed processes go too."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{SCRATCH}*"):
            if not _alive(left.name.removeprefix(SCRATCH).partition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def mapped(scratch: Path, names: Mapping[str, str]) -> Allocate:
    """What makes the array of a wanted value as ``<name>.npy`` in ``scratch``.

    Args:
        scratch: The folder.
        names: The name for each value ``node.port``.
    """

    def allocate(end: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
        size = shape[1:3] if shape[3:] == (1,) else shape[1:]
        path = scratch / f"{names[end]}.npy"
        with writing(scratch.parent):
            array = np.lib.format.open_memmap(path, "w+", kind, size)
            if hasattr(os, "posix_fallocate"):  # on a full disk a mapped file would kill us later
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array.reshape(shape)

    return allocate


def moved(scratch: Path, folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Give complete files in ``scratch`` their place in ``folder``."""
    found = {}
    with writing(folder):
        for name in names:
            with (scratch / name).open("rb") as file:
                os.fsync(file.fileno())
            found[name] = (scratch / name).replace(folder / name)
    return found


def _alive(process: str) -> bool:
    """Whether a process still runs, as far as that can be asked without harm."""
    if os.name != "posix" or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
