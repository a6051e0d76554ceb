"""Totals of subtrees that workers hold, fetched and stored when they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from specloom import Subtree

if TYPE_CHECKING:
    from distributed import Future

    from specloom import Parts


class StoredSubtrees:
    """The subtrees of a job that its client stores.

    Args:
        parts: Where they are stored; None for nowhere.
    """

    def __init__(self, parts: Parts | None) -> None:
        self._parts = parts
        #: Level, number and total of those that are not stored yet.
        self._pending: list[tuple[int, int, Future[Any]]] = []

    def found(self) -> Sequence[Subtree]:
        """What an earlier client stored."""
        if self._parts is None:
            return ()
        return self._parts.subtrees()

    def add(self, level: int, number: int, total: Future[Any]) -> None:
        """Store a total when a worker has it, where its level is stored."""
        if self._parts is not None and self._parts.wants(level):
            self._pending.append((level, number, total))

    def store(self) -> None:
        """Fetch and store the totals that workers have.

        A total with errors is none: the error of the share ends the job.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        waiting = []
        for level, number, total in self._pending:
            if total.status == "pending":
                waiting.append((level, number, total))
            elif total.status == "finished":
                self._store_total(level, number, _fetched(total))
        self._pending = waiting

    def _store_total(self, level: int, number: int, result: Mapping[str, Any]) -> None:
        assert self._parts is not None, "nothing waits without it"
        if result["data"] is not None:
            self._parts.store(Subtree(level, number, result["data"]))


def _fetched(total: Future[Any]) -> Mapping[str, Any]:
    """The result of a merge; without data where its worker or the scheduler has gone meanwhile.

    The shares that are worked on show which of them it was.
    """
    try:
        result: Mapping[str, Any] = total.result()
    except (OSError, CancelledError):
        return {"data": None}
    return result
