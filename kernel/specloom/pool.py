"""Threads that work on blocks, in whatever order they become free; results are in order.

Where blocks end follows from the data alone, and results are merged in the order of the blocks, in
a fixed tree: no bit depends on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, ClassVar, Generic, TypeVar

from specloom import threads

R = TypeVar("R")

CHILDREN = 8
"""So many neighbours are merged into one part of the next level."""


class _OfThread(threading.local):
    works_on_blocks = False
    """Whether the thread is inside of a block: what it divides further, it does alone."""


_here = _OfThread()


class _Help:
    """One call of a function by another thread of the pool."""

    def __init__(self, function: Callable[[], None], ended: Callable[[], None]) -> None:
        self._function = function
        self._ended = ended
        self._context = copy_context()
        self._is_taken = threading.Lock()
        self._done = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the function, unless that was cancelled."""
        if not self._is_taken.acquire(blocking=False):
            return
        try:
            self._context.run(self._function)
        except BaseException as error:
            self._error = error
        finally:
            self._ended()
            self._done.set()

    def wait(self) -> None:
        """Cancel the call, or wait for its end if it has started; raise its error."""
        if self._is_taken.acquire(blocking=False):
            self._ended()
            return
        self._done.wait()
        if self._error is not None:
            raise self._error


class _Pool:
    """The helping threads of this process, made when they are first needed.

    They are none of ``concurrent.futures``: an interruption while these start leaves a thread
    that the process waits for when it ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._threads = 0
        self._calls: SimpleQueue[_Help] = SimpleQueue()

    def start(
        self, function: Callable[[], None], wanted: int, most: int, started: list[_Help]
    ) -> None:
        """Let threads call ``function``; together with those of other callers at most ``most``.

        Args:
            function: What they call.
            wanted: How many threads.
            most: How many may be busy.
            started: Takes the calls.
        """
        for _ in range(wanted):
            with self._lock:
                if self._busy >= most:
                    return
                self._busy += 1
                needs_thread = self._threads < self._busy
                if needs_thread:
                    self._threads += 1
            call = _Help(function, self._one_ended)
            started.append(call)
            if needs_thread:
                thread = threading.Thread(target=self._serve, name="specloom", daemon=True)
                thread.start()
            self._calls.put(call)

    def _serve(self) -> None:
        while True:
            self._calls.get().run()

    def _one_ended(self) -> None:
        with self._lock:
            self._busy -= 1


_pool = _Pool()


def _start_again() -> None:
    """A forked process has none of the threads."""
    global _pool
    _pool = _Pool()
    _here.works_on_blocks = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)


class _Work:
    """Blocks to work on, taken in their order by several threads.

    Args:
        function: Called in each thread; returns what computes one block.
        done: Called with the number and the result of each block, by one thread at a time.
        count: How many blocks there are.
    """

    def __init__(
        self,
        function: Callable[[], Callable[[int], Any]],
        done: Callable[[int, Any], None],
        count: int,
    ) -> None:
        self._function = function
        self._done = done
        self._numbers = iter(range(count))
        self._lock = threading.Lock()
        self._stopped = False
        self._errors: dict[int, BaseException] = {}

    def take_blocks(self) -> None:
        """Work on blocks until none is left, or one has failed."""
        _here.works_on_blocks = True
        number = -1
        try:
            compute = self._function()
            while not self._stopped:
                number = next(self._numbers, -1)
                if number < 0:
                    return
                result = compute(number)
                with self._lock:
                    self._done(number, result)
        except BaseException as error:
            self._stopped = True
            self._errors[number] = error
        finally:
            _here.works_on_blocks = False

    def stop(self) -> None:
        """Begin no other block."""
        self._stopped = True

    def raise_first(self) -> None:
        """Raise an interruption, or else the error of the first block that failed.

        Every block before it was started too, so that it is the same with any number of threads.
        """
        errors = self._errors
        self._errors = {}
        for error in errors.values():
            if not isinstance(error, Exception):
                raise error
        if errors:
            raise errors[min(errors)]


def run_blocks(
    function: Callable[[], Callable[[int], Any]],
    done: Callable[[int, Any], None],
    count: int,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    most: int = threads.MOST,
) -> None:
    """Compute ``count`` blocks by the threads of this process, and this one.

    Args:
        function: Called in each thread that takes part; returns what computes the block of a
            number.
        done: Called with the number and the result of each block, in any order, one at a time.
        count: How many blocks there are.
        context: What the other threads enter; this one is in it.
        most: No more threads than this.
    """
    if count < 2 or _here.works_on_blocks:
        _work_alone(function, done, count)
        return
    most = min(threads.count(), most)
    if most < 2:
        _here.works_on_blocks = True
        try:
            _work_alone(function, done, count)
        finally:
            _here.works_on_blocks = False
        return
    work = _Work(function, done, count)

    def help_out() -> None:
        with context():
            work.take_blocks()

    helpers: list[_Help] = []
    try:
        _pool.start(help_out, min(most, count) - 1, most - 1, helpers)
        work.take_blocks()
    finally:
        work.stop()  # also where an interruption came between two blocks
        for helper in helpers:
            helper.wait()
    work.raise_first()


def _work_alone(
    function: Callable[[], Callable[[int], Any]], done: Callable[[int, Any], None], count: int
) -> None:
    compute = function()
    for number in range(count):
        done(number, compute(number))


class MergeTree(Generic[R]):
    """Merges parts as they come, in the order of their numbers: of shares, or of blocks.

    Eight neighbours of one level are one part of the next; a part without neighbours goes up as
    it is. Floating-point sums depend on their order, so the tree is the same however many
    workers or threads there are, and in whatever order they end.

    Args:
        merge: Joins several parts, in their order, as ``Task.merge`` does.
        completed: Called with level, number and total of each complete subtree of level 1 or more.
    """

    children: ClassVar[int] = CHILDREN

    def __init__(
        self,
        merge: Callable[[Sequence[R]], R],
        completed: Callable[[int, int, R], None] | None = None,
    ) -> None:
        self._merge = merge
        self._completed = completed
        #: Parts before which others are missing, with their levels, by their first share.
        self._early: dict[int, tuple[int, R]] = {}
        self._next = 0
        #: The parts of each level that wait for their neighbours: at most seven.
        self._waiting: list[list[R]] = []

    def add(self, number: int, part: R) -> None:
        """Take in the part of this number.

        Raises:
            ValueError: There is a part of this number already.
        """
        self.add_subtree(0, number, part)

    def add_subtree(self, level: int, number: int, part: R) -> None:
        """Take in the total of a complete subtree, whose parts are then not added.

        Args:
            level: The level: 0 of one part, 1 of eight, 2 of 64.
            number: Its place among the subtrees of its level, from 0.
            part: The total.

        Raises:
            ValueError: There is a part of it already.
        """
        first = number * CHILDREN**level
        if first < self._next or first in self._early:
            raise ValueError(f"share {first} was merged already")
        self._early[first] = (level, part)
        while self._next in self._early:
            level, part = self._early.pop(self._next)
            self._next += CHILDREN**level
            self._take_in(level, part)

    def total(self) -> R:
        """All parts as one.

        Raises:
            ValueError: There is no part, or one before the last is missing.
        """
        if self._early:
            raise ValueError(f"share {self._next} is missing")
        if not self._waiting:
            raise ValueError("there is no share")
        rest: list[R] = []
        for parts in self._waiting:
            below = rest
            rest = self._one([*parts, *below])
        return rest[0]

    def _take_in(self, level: int, part: R) -> None:
        while level >= len(self._waiting):
            self._waiting.append([])
        parts = self._waiting[level]
        parts.append(part)
        if len(parts) == CHILDREN:
            self._waiting[level] = []
            merged = self._merge(parts)
            if self._completed is not None:
                number = self._next // CHILDREN ** (level + 1) - 1
                self._completed(level + 1, number, merged)
            self._take_in(level + 1, merged)

    def _one(self, parts: list[R]) -> list[R]:
        """The parts merged into one; none and one stay as they are."""
        if len(parts) < 2:
            return parts
        return [self._merge(parts)]
