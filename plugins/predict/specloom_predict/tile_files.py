"""The tiles of one cube as files, made by several processes, until the cube is complete.

They lie in a hidden folder within that of all results. Its name says what they were made from, so
that a later call takes up those that are there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from specloom import IntegrityError, open_locked, process_tag, uninterrupted
from specloom_predict.scratch import LOCK, remove_if_abandoned, write_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILES = ".tiles-"
"""How the names of folders of tiles begin."""

SUFFIX = ".safetensors"


class TileFolder:
    """The folder of the tiles of one cube, which the process that opens it removes.

    Where another process holds its lock, that one removes it.

    Args:
        out: The folder of all results.
        key: What says what the tiles are made from.
    """

    def __init__(self, out: Path, key: str) -> None:
        self.path = folder_of_tiles(out, key)
        self._handle: int | None = None

    def open(self) -> None:
        """Make the folder, or take it up, and hold its lock unless another process does.

        Raises:
            WriteError: It cannot be made.
        """
        with write_errors(self.path.parent):
            while True:
                self.path.mkdir(exist_ok=True)
                with suppress(FileNotFoundError):  # another process took it for abandoned
                    self._handle = open_locked(self.path / LOCK)
                    return

    def numbers(self) -> set[int]:
        """The numbers of the tiles that are there."""
        names = [path.stem for path in self.path.glob(f"*{SUFFIX}")]
        return {int(name) for name in names if name.isdecimal()}

    def close(self) -> None:
        """Leave the tiles to a later call."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def remove(self) -> None:
        """Remove the tiles, unless another process works on them."""
        if self._handle is not None:
            with uninterrupted():
                shutil.rmtree(self.path, ignore_errors=True)
        self.close()


def folder_of_tiles(out: Path, key: str) -> Path:
    """The folder of the tiles with a key."""
    return out / f"{TILES}{key}"


def remove_abandoned_tiles(out: Path) -> None:
    """Remove the tiles that processes left which were stopped.

    Args:
        out: The folder of all results.
    """
    for folder in out.glob(f"{TILES}*"):
        remove_if_abandoned(folder)


def has_tile(folder: Path, number: int) -> bool:
    """Whether a tile is there, which is then complete."""
    return _path(folder, number).is_file()


def write_tile(
    folder: Path, number: int, arrays: Mapping[str, NDArray[Any]], seconds: float
) -> None:
    """Write what was made of a tile in one step; the folder is not made.

    Args:
        folder: The folder of the tiles.
        number: The tile.
        arrays: What was made of it, by name.
        seconds: How long it took.

    Raises:
        WriteError: The disk is full, or the folder has gone.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(contiguous, {"seconds": repr(seconds)})
    path = _path(folder, number)
    temporary = path.with_name(f".{number}.{process_tag()}")
    with write_errors(folder):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError), uninterrupted():
                temporary.unlink()


def read_tile(folder: Path, number: int) -> tuple[dict[str, NDArray[Any]], float]:
    """What was made of a tile, by name, and how long it took.

    Raises:
        IntegrityError: It is not there, or damaged.
    """
    path = _path(folder, number)
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            arrays = {name: file.get_tensor(name) for name in names}
            seconds = float(file.metadata()["seconds"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        what = f"{path} was removed or changed by another program"
        raise IntegrityError(what, fix="predict the cube again") from error
    return arrays, seconds


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number}{SUFFIX}"
