"""Sources whose items can be read one by one, by any process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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


@runtime_checkable
class ImageWindows(Protocol):
    """An image that is too large to be read as a whole where that is not needed."""

    height: int
    """Rows."""

    width: int
    """Columns."""

    def __iter__(self) -> Iterator[tuple[slice, Batch]]:
        """The rows of each window with its batch of one, from the first row to the last one."""

    def whole(self) -> Batch:
        """The whole image, as a batch of one."""

    def corners(self) -> Any:
        """The pixels in its four corners, (4, C)."""


class LooksAtWindows(Protocol):
    """An entry node that looks at large images window by window, as it looks at batches."""

    def look_at_window(self, batch: Batch, rows: slice, image: ImageWindows) -> None:
        """Warn of what is in an image after its last window; windows come in their order."""


@runtime_checkable
class WindowedSource(TicketSource, Protocol):
    """A source that reads large images window by window, for what needs no whole image."""

    def windowed_batches(self, split: str) -> Iterator[Batch | ImageWindows]:
        """As ``batches``; a large image that is a batch of its own comes as windows."""

    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """As ``read_ticket``; a large image comes as windows."""
