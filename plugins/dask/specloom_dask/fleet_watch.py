"""How the workers go on, for observers of a run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

    from specloom import RunView

WINDOW = 60.0
"""Seconds over which the rate is taken."""

INTERVAL = 1.0
"""Seconds between two looks at the workers."""


class Rate:
    """Items a second over the last minute."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done: deque[tuple[float, int]] = deque()

    def add(self, items: int, now: float | None = None) -> None:
        """Take in items that were done."""
        self._done.append((_now(now), items))

    def value(self, now: float | None = None) -> float:
        """The rate, 0 where nothing was done in the last minute."""
        moment = _now(now)
        while self._done and self._done[0][0] < moment - WINDOW:
            self._done.popleft()
        seconds = min(WINDOW, moment - self._started)
        if seconds <= 0:
            return 0.0
        return sum(items for _, items in self._done) / seconds


class FleetWatch:
    """Looks at the workers once a second while work goes on."""

    def __init__(self) -> None:
        self.run: RunView | None = None
        self.rate = Rate()
        self._client: Client | None = None
        self._known: set[str] = set()
        self._lost = 0
        self._looked = 0.0
        self._count = 0
        self._warned: set[str] = set()
        #: The workers as the scheduler describes them.
        self.workers: dict[str, Any] = {}

    @property
    def count(self) -> int:
        """The workers that there are."""
        return self._count

    def start(self, client: Client) -> None:
        """Watch the workers of a client."""
        self._client = client
        self._known = set()
        self._looked = 0.0
        self.look(0)

    def look(self, busy: int) -> None:
        """Look at the workers, at most once a second, and notify observers.

        Args:
            busy: The shares that are worked on.
        """
        now = time.monotonic()
        if self._client is None or now - self._looked < INTERVAL:
            return
        self._looked = now
        self.workers = dict(self._client.scheduler_info(n_workers=-1)["workers"])
        present = set(self.workers)
        self._lost += len(self._known - present)
        self._known = present
        self._count = len(present)
        if self.run is not None:
            self.run.hook.fleet(
                run=self.run,
                workers=self._count,
                busy=min(busy, self._count),
                lost=self._lost,
                rate=self.rate.value(now),
            )

    def new_warnings(self, texts: Iterable[str]) -> Iterator[str]:
        """Those that were not shown before."""
        for text in texts:
            if text not in self._warned:
                self._warned.add(text)
                yield text


def _now(now: float | None) -> float:
    if now is None:
        return time.monotonic()
    return now
