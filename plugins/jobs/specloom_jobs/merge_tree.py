"""A tree that merges what shares gave, in an order that depends on their number alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

#: A part: Part, or what stands for bytes that another process holds.
Part = TypeVar("Part")

#: So many neighbours are merged into one part of the next level.
CHILDREN = 8


class MergeTree(Generic[Part]):
    """Merges parts as they come, in the order of the shares.

    Eight neighbours of one level are one part of the next; a part without neighbours goes up as
    it is. Floating-point sums depend on their order, so the tree is the same however many
    workers there are, and in whatever order they end.

    Args:
        merge: Joins several parts, in their order, as ``Task.merge`` does.
    """

    def __init__(self, merge: Callable[[Sequence[Part]], Part]) -> None:
        self._merge = merge
        self._early: dict[int, Part] = {}
        self._next = 0
        #: The parts of each level that wait for their neighbours: at most seven.
        self._waiting: list[list[Part]] = []

    def add(self, number: int, part: Part) -> None:
        """Take in what the share of this number gave.

        Raises:
            ValueError: There is a part of this number already.
        """
        if number < self._next or number in self._early:
            raise ValueError(f"share {number} was merged already")
        self._early[number] = part
        while self._next in self._early:
            self._take_in(0, self._early.pop(self._next))
            self._next += 1

    def total(self) -> Part:
        """All parts as one.

        Raises:
            ValueError: There is no part, or one before the last is missing.
        """
        if self._early:
            raise ValueError(f"share {self._next} is missing")
        if not self._waiting:
            raise ValueError("there is no share")
        rest: list[Part] = []
        for parts in self._waiting:
            below = rest
            rest = self._one([*parts, *below])
        return rest[0]

    def _take_in(self, level: int, part: Part) -> None:
        if level == len(self._waiting):
            self._waiting.append([])
        parts = self._waiting[level]
        parts.append(part)
        if len(parts) == CHILDREN:
            self._waiting[level] = []
            self._take_in(level + 1, self._merge(parts))

    def _one(self, parts: list[Part]) -> list[Part]:
        """The parts merged into one; none and one stay as they are."""
        if len(parts) < 2:
            return parts
        return [self._merge(parts)]
