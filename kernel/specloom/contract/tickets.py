"""Sources whose items can be read one by one, by any process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.fleet import Ticket
    from specloom.contract.nodes import Batch


@runtime_checkable
class TicketSource(Protocol):
    """A source that says of each item how it is read, so that other processes can read it.

    A ticket is a mapping that equals itself after a round trip through JSON. Any source of the
    same class can read it, without listing what there is and without the other items.
    """

    def tickets(self, split: str) -> Iterator[Ticket]:
        """A ticket for each item of a split, in the order of ``batches``.

        ``bytes`` in a ticket is the size of the item's pixels, where it is known.
        """

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The item of a ticket, as a batch of one."""
