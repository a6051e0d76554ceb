"""Shares: consecutive items of the data, cut where the data alone says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from specloom import Share, Ticket

#: A share ends when its pixels take this many bytes, or when it holds this many tickets.
SHARE_BYTES = 256 * 1024 * 1024
SHARE_TICKETS = 64


def make_shares(tickets: Iterable[Ticket]) -> Iterator[Share]:
    """Cut tickets into shares of at most 64, each ended by the ticket that fills 256 MB.

    Where shares end decides the order in which statistics are merged, and so their last digits.
    It depends on the tickets alone: not on the number of workers, and not on any option.

    Args:
        tickets: The items in the order of the data; ``bytes`` in a ticket is the size of its
            pixels, and counts as 0 where it is not known.
    """
    number = 0
    share: list[Ticket] = []
    size = 0
    for ticket in tickets:
        share.append(ticket)
        size += int(ticket.get("bytes", 0))
        if size >= SHARE_BYTES or len(share) >= SHARE_TICKETS:
            yield Share(number, tuple(share))
            number += 1
            share = []
            size = 0
    if share:
        yield Share(number, tuple(share))
