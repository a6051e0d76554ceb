"""Totals of subtrees that workers hold, where these or the scheduler go."""

from __future__ import annotations

from concurrent.futures import CancelledError

import pytest
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from specloom import Subtree
from specloom_dask.stored_subtrees import StoredSubtrees


class Parts:
    """Remembers what is stored."""

    def __init__(self):
        self.stored = []

    def wants(self, level):
        return level >= 1

    def store(self, subtree):
        self.stored.append(subtree)


class Total:
    """The result of a merge.

    Args:
        status: Whether it is there.
        error: What comes of fetching it; None for its data.
    """

    def __init__(self, status, error=None):
        self.status = status
        self.error = error

    def result(self):
        if self.error is not None:
            raise self.error
        return {"data": b"total"}


@pytest.mark.parametrize(
    "error", [CommClosedError("reset"), FutureCancelledError("key", "gone"), CancelledError()]
)
def test_a_total_that_cannot_be_fetched_is_not_stored(error):
    parts = Parts()
    stored = StoredSubtrees(parts)
    stored.add(1, 0, Total("finished", error))
    stored.add(1, 1, Total("finished"))
    stored.add(0, 9, Total("finished"))
    later = Total("pending")
    stored.add(2, 0, later)
    stored.store()
    assert parts.stored == [Subtree(1, 1, b"total")]
    later.status = "finished"
    stored.store()
    stored.store()
    assert parts.stored == [Subtree(1, 1, b"total"), Subtree(2, 0, b"total")]


def test_another_error_is_not_hidden():
    stored = StoredSubtrees(Parts())
    stored.add(1, 0, Total("finished", ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        stored.store()
