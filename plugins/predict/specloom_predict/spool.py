"""Values about many cubes that lie in a file, so that memory does not grow with the cubes."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar, overload
from weakref import finalize

from specloom_predict.scratch import WriteError

T = TypeVar("T")

BYTES_IN_MEMORY = 256 * 1024
"""Values that are larger together lie on the disk."""


def as_it_is(value: Any) -> Any:
    """A value that JSON can hold."""
    return value


class Spool(Sequence[T]):
    """A list of values that grows, as lines of JSON in a file without a name.

    Values are read when they are used; in memory there are 16 bytes for each.

    Args:
        to_plain: Makes a value that JSON can hold; by default values are such.
        from_plain: Makes a value again of what JSON holds.
    """

    def __init__(
        self,
        to_plain: Callable[[T], Any] = as_it_is,
        from_plain: Callable[[Any], T] = as_it_is,
    ) -> None:
        self._to_plain = to_plain
        self._from_plain = from_plain
        self._file = SpooledTemporaryFile(max_size=BYTES_IN_MEMORY)  # noqa: SIM115  # closed below
        finalize(self, self._file.close)
        self._starts = array("Q")
        self._ranks = array("q")
        self._size = 0

    def append(self, value: T, rank: int = 0) -> None:
        """Add a value.

        Args:
            value: The value.
            rank: Its place in the order that ``sort`` makes.

        Raises:
            WriteError: The disk of temporary files is full.
        """
        line = json.dumps(self._to_plain(value)).encode() + b"\n"
        try:
            self._file.seek(self._size)
            self._file.write(line)
        except OSError as error:
            what = f"a temporary file cannot be written: {error.strerror or error}"
            fix = "make room there, or set TMPDIR to a folder with room"
            raise WriteError(what, where=tempfile.tempdir or "", fix=fix, stops=True) from error
        self._starts.append(self._size)
        self._ranks.append(rank)
        self._size += len(line)

    def sort(self) -> None:
        """Bring the values into the order of their ranks; those of one rank stay as they are."""
        order = sorted(range(len(self)), key=self._ranks.__getitem__)
        self._starts = array("Q", [self._starts[at] for at in order])
        self._ranks = array("q", [self._ranks[at] for at in order])

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._read(start) for start in self._starts[index]]
        return self._read(self._starts[index])

    def __iter__(self) -> Iterator[T]:
        for start in self._starts:
            yield self._read(start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of every list

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def _read(self, start: int) -> T:
        self._file.seek(start)
        return self._from_plain(json.loads(self._file.readline()))
