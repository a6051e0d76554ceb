"""One cube whose tiles many processes make: which are made, and which come next."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_predict.tile_files import TileFolder

if TYPE_CHECKING:
    from specloom import Ticket

SHARE_SECONDS = 2.0
"""A share is as many cubes or tiles as take about so long; results do not depend on it."""

LEAST_SHARES = 32
"""The shares into which the tiles that are left are cut at least, so that all workers have some."""


LEAST_SECONDS = 0.05
"""But a share has tiles for at least so long: each costs all processes together 5 to 10 ms."""


class SplitWork:
    """The tiles of one cube as tickets.

    Args:
        ticket: What all of its tickets say.
        count: How many tiles it has. The last task makes the first one: see ``run_tiled``.
        out: The folder of all results.

    Raises:
        WriteError: The folder of the tiles cannot be made.
    """

    def __init__(self, ticket: Ticket, count: int, out: Path) -> None:
        self._ticket = ticket
        self.count = count
        #: Where the tiles are.
        self.folder = TileFolder(out, ticket["tiles"])
        self.folder.open()
        there = self.folder.numbers()
        self._waiting = deque(number for number in range(1, count) if number not in there)
        self._unmade = len(self._waiting)
        self._seconds = 0.0
        self._taken = 0
        self._joins = False

    @property
    def made(self) -> int:
        """How many tiles are made."""
        return self.count - 1 - self._unmade

    def following(self) -> Sequence[Ticket]:
        """The tickets of the next share; none where others have to be done first."""
        if self._waiting:
            size = min(self._size(), len(self._waiting))
            return [{**self._ticket, "tile": self._waiting.popleft()} for _ in range(size)]
        if self._unmade or self._joins:
            return []
        self._joins = True
        return [{**self._ticket, "tile": None}]

    def take(self, outcome: Mapping[str, Any]) -> None:
        """Take in that a tile is made."""
        self._unmade -= 1
        self._taken += 1
        self._seconds += outcome["seconds"]

    def _size(self) -> int:
        """How many tiles are a share: one, until it is known how long they take."""
        if not self._seconds:
            return 1
        mean = self._seconds / self._taken
        least = max(1, int(LEAST_SECONDS / mean))
        most = -(-len(self._waiting) // LEAST_SHARES)
        return max(least, min(most, int(SHARE_SECONDS / mean)))
