"""How the workers go on, for observers of a run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specloom import RunView
    from specloom_dask.places import Fleet

WINDOW = 60.0
"""Seconds over which the rate is taken."""

RESTORE_SECONDS = 20.0
"""Seconds between two attempts to start workers for those that could not start again."""

INTERVAL = 1.0
"""Seconds between two looks at the workers."""


class Rate:
    """Items a second over the last minute."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done: deque[tuple[float, int]] = deque()

    def add(self, items: int, now: float | None = None) -> None:
        """Take in items that were done."""
        moment = _now(now)
        self._done.append((moment, items))
        self._forget(moment)

    def value(self, now: float | None = None) -> float:
        """The rate, 0 where nothing was done in the last minute."""
        moment = _now(now)
        self._forget(moment)
        seconds = min(WINDOW, moment - self._started)
        if seconds <= 0:
            return 0.0
        return sum(items for _, items in self._done) / seconds

    def _forget(self, moment: float) -> None:
        """Remove what was done more than a minute before."""
        while self._done and self._done[0][0] < moment - WINDOW:
            self._done.popleft()


class FleetWatch:
    """Looks at the workers once a second while work goes on."""

    def __init__(self) -> None:
        self.run: RunView | None = None
        self.rate = Rate()
        self._fleet: Fleet | None = None
        self._restored = 0.0
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

    @property
    def lost(self) -> int:
        """The workers that were lost so far."""
        return self._lost

    def start(self, fleet: Fleet) -> None:
        """Watch these workers."""
        self._fleet = fleet
        self._known = set()
        self._looked = 0.0
        self.look(0)

    def current(self) -> dict[str, Any]:
        """The workers as they were a second ago at most."""
        self.look(0)
        return self.workers

    def look(self, busy: int) -> bool:
        """Look at the workers, at most once a second, and notify observers.

        Args:
            busy: The shares that are worked on.

        Returns:
            Whether a second was over.
        """
        now = time.monotonic()
        if self._fleet is None or now - self._looked < INTERVAL:
            return False
        self._looked = now
        self.workers = dict(self._fleet.client.scheduler_info(n_workers=-1)["workers"])
        present = set(self.workers)
        self._lost += len(self._known - present)
        self._known = present
        self._count = len(present)
        if self._count < self._fleet.expected and now - self._restored > RESTORE_SECONDS:
            self._restored = now
            self._fleet.restore()
        if self.run is not None:
            self.run.hook.fleet(
                run=self.run,
                workers=self._count,
                busy=min(busy, self._count),
                lost=self._lost,
                rate=self.rate.value(now),
            )
        return True

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
