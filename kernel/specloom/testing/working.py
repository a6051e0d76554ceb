"""Tasks, and executors, which are held to a small task of the kit's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from specloom.contract.errors import DataError, SpecloomError
from specloom.contract.fleet import (
    Executor,
    Job,
    ResumableExecutor,
    Share,
    Subtree,
    Task,
    Ticket,
)
from specloom.contract.hooks import impl
from specloom.contract.views import StartedExecutor
from specloom.plugins import Plugins
from specloom.testing.comparing import hold

#: More shares than neighbours of one level of a merge tree.
SHARES = 20


class Digits:
    """A task whose merge shows the order of its parts; it fails where a ticket says so."""

    def begin(self, job: Job) -> None:
        """Read the first number."""
        self.start = int(job.arguments["start"])

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """The numbers of the tickets, counted from the first."""
        if any(ticket.get("broken") for ticket in tickets):
            raise DataError("the item is broken", where="kit", fix="leave it out")
        numbers = [self.start + ticket["number"] for ticket in tickets]
        return json.dumps(numbers).encode()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """The numbers of all parts, in their order."""
        numbers: list[int] = []
        for part in parts:
            numbers += json.loads(part)
        return json.dumps(numbers).encode()


JOB = Job("kit.Digits", arguments={"start": 100})
#: The error of a broken ticket, as an outcome holds it.
ERROR = {"what": "the item is broken", "where": "kit", "fix": "leave it out", "exit_code": 2}


def task_is_whole(cls: Any) -> None:
    """A task has ``begin``, ``do`` and ``merge``, and is made without arguments."""
    hold(isinstance(cls(), Task), cls, "it has not all of begin, do and merge")


def executor_is_whole(cls: Any) -> None:
    """An executor has ``each`` and ``total``."""
    hold(isinstance(_executor(cls), Executor), cls, "it has not both of each and total")


def executor_does_jobs(cls: Any) -> None:
    """A total joins all shares in their order, each share has an outcome, and errors arrive.

    One executor does it all: some take seconds to start.
    """
    with _opened(cls) as executor:
        _check_order(executor, cls)
        _check_outcomes(executor, cls)
        _check_errors(executor, cls)
        if isinstance(executor, ResumableExecutor):
            _check_resumption(executor, cls)


def _check_order(executor: Any, cls: Any) -> None:
    """The total joins all shares in the order of the data."""
    total = json.loads(executor.total(JOB, _shares()))
    expected = list(range(100, 100 + 2 * SHARES))
    hold(total == expected, cls, f"its total is {total}, not {expected}")


def _check_outcomes(executor: Any, cls: Any) -> None:
    """There is one outcome for each share; an error is a value, and ends no other share."""
    outcomes = {}
    for outcome in executor.each(JOB, _shares(broken=3)):
        outcomes[outcome.number] = outcome
    numbers = sorted(outcomes)
    hold(numbers == list(range(SHARES)), cls, f"it gives outcomes of {numbers}")
    for number, outcome in outcomes.items():
        should_fail = number == 3
        has_errors = bool(outcome.errors)
        hold(has_errors == should_fail, cls, f"share {number} has {outcome.errors}")
        has_no_data = outcome.data is None
        hold(has_no_data == should_fail, cls, f"share {number} gives {outcome.data!r}")
    (error,) = outcomes[3].errors
    hold(dict(error) == ERROR, cls, f"the error arrives as {error}")


def _check_errors(executor: Any, cls: Any) -> None:
    """A total raises the error of a share."""
    try:
        executor.total(JOB, _shares(broken=3))
    except SpecloomError as error:
        hold(error.what == "the item is broken", cls, f"it raises {error.what!r}")
        hold(error.exit_code == 2, cls, f"its error has the exit code {error.exit_code}")
    else:
        hold(False, cls, "a share failed, and the total is given all the same")


class _KitParts:
    """Subtrees of eight shares, the first of which is stored already."""

    def __init__(self) -> None:
        numbers = list(range(100, 116))
        self.found = Subtree(1, 0, json.dumps(numbers).encode())
        self.stored: list[Subtree] = []

    def subtrees(self) -> Sequence[Subtree]:
        """The first one."""
        return (self.found,)

    def wants(self, level: int) -> bool:
        """Those of eight shares."""
        return level == 1

    def store(self, subtree: Subtree) -> None:
        """Remember what is stored."""
        self.stored.append(subtree)


def _check_resumption(executor: ResumableExecutor, cls: Any) -> None:
    """A total with a stored subtree is that of all shares; nothing but the other is stored."""
    parts = _KitParts()
    shares = [share for share in _shares() if share.number >= 8]
    total = json.loads(executor.resume_total(JOB, shares, parts))
    expected = list(range(100, 100 + 2 * SHARES))
    hold(total == expected, cls, f"its resumed total is {total}, not {expected}")
    for one in parts.stored:
        found = json.loads(one.data)
        is_second = (one.level, one.number) == (1, 1) and found == list(range(116, 132))
        hold(is_second, cls, f"it stores subtree {one.number} of level {one.level}: {found}")


CHECKS: Mapping[str, tuple[Callable[[Any], None], ...]] = {
    "tasks": (task_is_whole,),
    "executors": (
        executor_is_whole,
        executor_does_jobs,
    ),
}


def _executor(cls: Any) -> Any:
    """An executor that finds the kit's task; workers import it by the name of this module."""
    return cls(plugins=Plugins({"kit": __name__}))


@contextmanager
def _opened(cls: Any) -> Iterator[Any]:
    """An executor, closed at the end where it has to be."""
    executor = _executor(cls)
    try:
        yield executor
    finally:
        if isinstance(executor, StartedExecutor):
            executor.close()


@impl
def register_tasks() -> Mapping[str, str]:
    """Offer the kit's task, as a plugin does."""
    return {"Digits": f"{__name__}:Digits"}


def _shares(broken: int | None = None) -> list[Share]:
    """Shares of two tickets each."""
    shares = []
    for number in range(SHARES):
        first = {"number": 2 * number, "broken": number == broken}
        second = {"number": 2 * number + 1}
        shares.append(Share(number, (first, second)))
    return shares
