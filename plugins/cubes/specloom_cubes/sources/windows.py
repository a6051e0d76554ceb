"""Large scenes that are read in windows of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.sources.base import TicketedSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import Batch, ImageWindows, Ticket
    from specloom_cubes.cube import Cube

WINDOW_BYTES = 1 << 24
"""The pixels of a window, as stored; an image that has no more is read as a whole."""


class RowWindows:
    """An image of which some rows are read at a time.

    Args:
        height: Rows.
        width: Columns.
        rows: The rows of a window.
        read: Reads a window, as a batch of one.
        read_whole: Reads the whole image.
    """

    def __init__(
        self,
        height: int,
        width: int,
        rows: int,
        read: Callable[[slice], Batch],
        read_whole: Callable[[], Batch],
    ) -> None:
        self.height = height
        self.width = width
        self._rows = rows
        self._read = read
        self._read_whole = read_whole

    def __iter__(self) -> Iterator[tuple[slice, Batch]]:
        """The rows of each window with its batch of one."""
        for first in range(0, self.height, self._rows):
            rows = slice(first, min(first + self._rows, self.height))
            yield rows, self._read(rows)

    def whole(self) -> Batch:
        """The whole image, as a batch of one."""
        return self._read_whole()

    def corners(self) -> NDArray[Any]:
        """The pixels in its four corners, (4, C)."""
        first = self._read(slice(0, 1))["cube"][0, 0]
        last = self._read(slice(self.height - 1, self.height))["cube"][0, 0]
        return np.stack([first[0], first[-1], last[0], last[-1]])


class LargeImageSource(TicketedSource):
    """A source that reads large images window by window, for what needs no whole image."""

    def windowed_batches(self, split: str) -> Iterator[Batch | ImageWindows]:
        """As ``batches``; a large image that is a batch of its own comes as windows."""
        for numbers in self.batch_numbers(split):
            if len(numbers) == 1:
                yield self.read_windows(self.ticket(split, numbers[0]))
            else:
                yield self.read(split, numbers)

    @abstractmethod
    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """As ``read_ticket``; a large image comes as windows."""


def is_large(cube: Cube, height: int, width: int) -> bool:
    """Whether so many rows and columns of a cube are read in windows.

    A cube with dark frames is read as a whole: with windows they would be fitted several times.
    """
    if cube.dark is not None:
        return False
    return height > 1 and height * _row_bytes(cube, width) > WINDOW_BYTES


def rows_of_window(cube: Cube, width: int) -> int:
    """How many rows of so many columns a window has."""
    return max(1, WINDOW_BYTES // _row_bytes(cube, width))


def _row_bytes(cube: Cube, width: int) -> int:
    return width * cube.shape[2] * cube.dtype.itemsize
