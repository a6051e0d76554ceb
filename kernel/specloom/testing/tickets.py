"""Sources whose items are read from tickets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from specloom.contract.tickets import TicketSource
from specloom.testing.comparing import Values, agree, hold
from specloom.testing.making import example


def tickets_read_what_batches_hold(cls: Any) -> None:
    """A fresh source reads each ticket, after a round trip through JSON, as ``batches`` does."""
    source: Any = example(cls)
    if not isinstance(source, TicketSource):
        return
    for split in example(cls).splits():
        tickets = [_through_json(cls, ticket) for ticket in source.tickets(split)]
        items = list(_items(source, split))
        what = f"it gives {len(tickets)} tickets for the {len(items)} items of {split}"
        hold(len(tickets) == len(items), cls, what)
        for number, item in enumerate(items):
            found = dict(example(cls).read_ticket(tickets[number]))
            agree(found, item, cls, f"when ticket {number} of {split} is read")


def _through_json(cls: Any, ticket: Any) -> Any:
    try:
        text = json.dumps(ticket)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{cls.__name__}: a ticket is not JSON: {error}") from error
    found = json.loads(text)
    hold(found == ticket, cls, f"the ticket {ticket} is {found} after a round trip through JSON")
    return found


def _items(source: Any, split: str) -> Iterator[Values]:
    """Each image of the batches of a split, as a batch of one."""
    for batch in source.batches(split):
        by_image = [name for name in batch if source.outputs[name].names[:1] == ("B",)]
        count = len(batch[by_image[0]])
        for number in range(count):
            item = dict(batch)
            for name in by_image:
                item[name] = batch[name][number : number + 1]
            yield item
