"""The conformance kit on sources whose items are read from tickets."""

import pathlib

import pytest

from kit_toys import Scenes
from specloom import TicketSource
from specloom.testing import failures_of

CHECK = "tickets_read_what_batches_hold"


class Ticketed(Scenes):
    def tickets(self, split):
        for number, batch in enumerate(self.batches(split)):
            for image in range(len(batch["cube"])):
                yield {"split": split, "batch": number, "image": image}

    def read_ticket(self, ticket):
        batch = list(self.batches(ticket["split"]))[ticket["batch"]]
        return {"cube": batch["cube"][ticket["image"], None]}


class InAnotherOrder(Ticketed):
    def tickets(self, split):
        yield from reversed(list(super().tickets(split)))


class TooFew(Ticketed):
    def tickets(self, split):
        yield from list(super().tickets(split))[1:]


class WithAPath(Ticketed):
    def tickets(self, split):
        for ticket in super().tickets(split):
            yield {**ticket, "cube": pathlib.Path("a.npy")}


class WithATuple(Ticketed):
    def tickets(self, split):
        for ticket in super().tickets(split):
            yield {**ticket, "rows": (0, 4)}


class OtherPixels(Ticketed):
    def read_ticket(self, ticket):
        return {"cube": super().read_ticket(ticket)["cube"] + 1}


class NeedsTheListing(Ticketed):
    def tickets(self, split):
        self._listed = True
        yield from super().tickets(split)

    def read_ticket(self, ticket):
        assert self._listed
        return super().read_ticket(ticket)


def test_a_source_with_tickets_passes():
    assert isinstance(Ticketed(3), TicketSource)
    assert not isinstance(Scenes(3), TicketSource)
    assert failures_of(Ticketed, "sources") == {}


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (InAnotherOrder, "when ticket 0 of train is read"),
        (TooFew, "tickets for the"),
        (WithAPath, "a ticket is not JSON: Object of type"),
        (WithATuple, "after a round trip through JSON"),
        (OtherPixels, "differs by up to 1"),
        (NeedsTheListing, "has no attribute '_listed'"),
    ],
)
def test_a_source_whose_tickets_are_wrong_fails(cls, what):
    found = failures_of(cls, "sources")
    assert list(found) == [CHECK]
    assert what in found[CHECK]
