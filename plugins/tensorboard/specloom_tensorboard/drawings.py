"""Pictures that are drawn on a thread, of some epochs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from specloom import OnDemand

Write: TypeAlias = "Callable[[int, OnDemand], None]"
"""What writes the pictures of a step."""


class Drawings:
    """Draws the pictures of the first and of every so many-th step, and the last ones.

    Args:
        every: Of how many steps those of one are drawn.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._executor: ThreadPoolExecutor | None = None
        self._started: list[Future[None]] = []
        self._not_drawn: dict[
            tuple[str, ...], tuple[Callable[[int, OnDemand], None], int, OnDemand]
        ] = {}

    def add(self, write: Write, step: int, pictures: OnDemand) -> None:
        """Draw pictures on the thread, or keep them until others with the same tags come.

        Args:
            write: Writes pictures of a step.
            step: The step.
            pictures: The pictures by tag, drawn when ``write`` looks at them.

        Raises:
            UnavailableError: Earlier ones could not be written.
        """
        if not pictures:
            return
        tags = tuple(pictures)
        self._not_drawn.pop(tags, None)
        if step % self._every:
            self._not_drawn[tags] = (write, step, pictures)
        else:
            self._draw(write, step, pictures)

    def finish(self) -> None:
        """Draw what was not, and wait until everything is written.

        Raises:
            UnavailableError: Something could not be written.
        """
        left = list(self._not_drawn.values())
        self._not_drawn = {}
        for write, step, pictures in left:
            self._draw(write, step, pictures)
        self._wait(self._started)
        self._started = []
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def _draw(self, write: Write, step: int, pictures: OnDemand) -> None:
        ended = [one for one in self._started if one.done()]
        self._started = [one for one in self._started if one not in ended]
        self._wait(ended)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "pictures")
        self._started.append(self._executor.submit(write, step, pictures))

    def _wait(self, futures: list[Future[None]]) -> None:
        for future in futures:
            future.result()
