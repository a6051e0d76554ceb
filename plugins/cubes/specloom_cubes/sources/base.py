"""The base of sources whose items are read from tickets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from specloom import DataError
from specloom_cubes.paths import expand, is_address
from specloom_cubes.sources.common import check_same_size
from specloom_cubes.sources.data_module import DataModule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import Batch, Ticket


class TicketedSource(DataModule, ABC):
    """A source that reads each item from a ticket, and joins items to batches.

    ``read``, ``batches`` and other processes all read an item in this one way, so that its bits
    are the same everywhere.
    """

    batch_size: int

    addresses: ClassVar[Sequence[str]] = ("cube", "mask")
    """The entries of a ticket that are paths or other addresses."""

    one_size: ClassVar[str] = "use batch_size: 1"
    """What to do where items of several sizes would be in one batch."""

    @abstractmethod
    def items(self, split: str) -> int:
        """The number of items of a split."""

    @abstractmethod
    def ticket(self, split: str, number: int) -> Ticket:
        """How an item of a split is read, by its number within it; paths are as they were given."""

    @abstractmethod
    def read_ticket(self, ticket: Ticket) -> Batch:
        """The item of a ticket, as a batch of one."""

    def tickets(self, split: str) -> Iterator[Ticket]:
        """A ticket for each item of a split, in the order of ``batches``, with absolute paths."""
        from specloom_cubes.reading import absolute_options  # and with it all formats

        for numbers in self.batch_numbers(split):
            for number in numbers:
                ticket = dict(self.ticket(split, number))
                for name in self.addresses:
                    ticket[name] = absolute(ticket[name])
                ticket.update(absolute_options(ticket))
                yield ticket

    def batch_numbers(self, split: str) -> Iterator[Sequence[int]]:
        """The items of each batch of a split, by their numbers within it."""
        count = self.items(split)
        for first in range(0, count, self.batch_size):
            yield range(first, min(first + self.batch_size, count))

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        return -(-self.items(split) // self.batch_size)

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of some items of a split, by their numbers within it.

        Raises:
            DataError: They differ in size.
        """
        items = [self.read_ticket(self.ticket(split, number)) for number in numbers]
        return join_batches(items, self.one_size)

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        for numbers in self.batch_numbers(split):
            yield self.read(split, numbers)


def join_batches(batches: Sequence[Batch], fix: str) -> Batch:
    """One batch of the images of several, which share their wavelengths.

    Raises:
        DataError: They differ in size.
    """
    first = batches[0]
    if len(batches) == 1:
        return first
    check_same_size([batch["cube"][0] for batch in batches], fix)
    if "dark" in first:
        _check_same_lines([batch["dark"][0] for batch in batches], fix)
    joined = {}
    for name, value in first.items():
        if name == "wavelengths":
            joined[name] = value
        else:
            joined[name] = np.concatenate([batch[name] for batch in batches])
    return joined


def _check_same_lines(darks: Sequence[NDArray[Any]], fix: str) -> None:
    """Accept dark frames of one shape.

    Raises:
        DataError: They differ.
    """
    shapes = {dark.shape for dark in darks}
    if len(shapes) > 1:
        listed = ", ".join(str(lines) for lines, _, _ in sorted(shapes))
        raise DataError(f"dark frames of {listed} lines cannot share a batch", fix=fix)


def absolute(address: str | None) -> str | None:
    """A path from the root, so that it leads to the same file from any folder."""
    if address is None or is_address(address):
        return address
    return str(expand(address).absolute())
