"""Plain arrays in files, read part by part: a file that is cut meanwhile gives an error.

A mapped file that shrinks ends the process with the signal SIGBUS, so nothing is mapped here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom import DataError, UnavailableError

if TYPE_CHECKING:
    from io import FileIO

    from numpy.typing import NDArray

SPAN = 1 << 20
"""Bytes between the first and the last value of a part up to which they are read in one piece."""

Stamp: TypeAlias = tuple[int, int]
"""The size of a file in bytes, and when it was last written, in ns."""


@dataclass(frozen=True)
class Stored:
    """An array in C order in a file.

    Args:
        path: The file.
        dtype: The element type as stored.
        offset: The byte at which it begins.
        shape: The size of each axis as stored.
        stamp: The file's size and time when its header was read.
    """

    path: Path
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    stamp: Stamp

    @property
    def needed(self) -> int:
        """The bytes that the whole array takes."""
        return prod(self.shape) * self.dtype.itemsize

    def read(self, *parts: slice) -> NDArray[Any]:
        """A part of the array, in memory of its own.

        Args:
            parts: What to take of each axis; of axes that are not named everything.

        Raises:
            DataError: The file cannot be read, or was changed after its header was read.
            UnavailableError: The part does not fit into memory.
        """
        rest = [slice(None)] * (len(self.shape) - len(parts))
        ascending = []
        directions = []
        for part, size in zip([*parts, *rest], self.shape, strict=True):
            axis = range(*part.indices(size))
            if axis.step < 0:
                ascending.append(axis[::-1])
                directions.append(slice(None, None, -1))
            else:
                ascending.append(axis)
                directions.append(slice(None, None, 1))
        values = self._empty(tuple(map(len, ascending)))
        if values.size:
            self._read_into(values, ascending)
        return values[tuple(directions)]

    def _empty(self, shape: tuple[int, ...]) -> NDArray[Any]:
        try:
            return np.empty(shape, self.dtype)
        except MemoryError as error:
            size = prod(shape) * self.dtype.itemsize
            raise UnavailableError(
                f"{self.path}: there is no memory for {size / 1e9:.1f} GB of it",
                fix="use a smaller part of the scene, such as cubes.Blocks",
            ) from error

    def _read_into(self, target: NDArray[Any], axes: Sequence[range]) -> None:
        try:
            with self.path.open("rb", buffering=0) as file:
                self._check(file)
                self._fill(file, target, self.offset, axes, self.shape)
                self._check(file)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be read: {error.strerror or error}",
                fix="check its permissions and the disk, or copy the file again",
            ) from error

    def _check(self, file: FileIO) -> None:
        now = stamp_of(file)
        if now != self.stamp:
            raise DataError(
                f"{self.path} was changed while it was used: it held {self.stamp[0]} bytes, "
                f"now it holds {now[0]}",
                fix="wait until the file is complete, then start again",
            )

    def _fill(
        self,
        file: FileIO,
        target: NDArray[Any],
        at: int,
        axes: Sequence[range],
        shape: Sequence[int],
    ) -> None:
        """Fill ``target`` with a part of the array of this shape that begins at byte ``at``."""
        if not axes:
            self._take(file, target, at)
            return
        axis = axes[0]
        inner = axes[1:]
        sizes = shape[1:]
        step = prod(sizes) * self.dtype.itemsize
        first = at + axis[0] * step
        count = axis[-1] - axis[0] + 1
        whole = all(len(one) == size for one, size in zip(inner, sizes, strict=True))
        if whole and axis.step == 1:
            self._take(file, target, first)
        elif not inner or count * step <= SPAN:
            span = np.empty((count, *sizes), self.dtype)
            self._take(file, span, first)
            chosen = (slice(one.start, one.stop, one.step) for one in inner)
            target[...] = span[(slice(None, None, axis.step), *chosen)]
        else:
            for position, number in enumerate(axis):
                self._fill(file, target[position, ...], at + number * step, inner, sizes)

    def _take(self, file: FileIO, target: NDArray[Any], at: int) -> None:
        """Fill an array that lies in one piece with the bytes from ``at`` on."""
        left = target.reshape(-1).view(np.uint8).data
        file.seek(at)
        while left:
            count = file.readinto(left)
            if not count:
                self._check(file)
                raise DataError(
                    f"{self.path} ends before byte {at + len(left)}", fix="copy the file again"
                )
            at += count
            left = left[count:]


def stamp_of(file: FileIO) -> Stamp:
    """The size of an open file, and when it was last written."""
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns
