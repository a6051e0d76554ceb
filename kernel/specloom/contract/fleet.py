"""Work that any process can do: what a task, a share of the data and an executor are.

A run over many machines sends a :class:`Job` and shares of tickets to tasks, which are found by
name, and gets bytes. What travels is text, JSON and safetensors; no object is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

#: How to read one item of the data, as JSON: ``{"cube": address, "mask": address, "bytes": n}``.
Ticket: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """One piece of work on all of the data, in a form that any process can take up.

    Args:
        task: The reference of the task, such as ``training.Fit``.
        graph: The graph, as ``pack`` writes it.
        weights: The state of its nodes, as safetensors.
        arguments: What the task needs besides, as JSON.
        plugins: The version of each plugin that the graph uses.
        seed: The seed of the run.
        pins: The plugins that a manifest pins, as ``Plugins.pins`` gives them; a process installs
            them before it imports any plugin.
    """

    task: str
    graph: str = ""
    weights: bytes = b""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    pins: Sequence[Mapping[str, Any]] = ()

    @property
    def key(self) -> str:
        """The SHA-256 of the job: equal for equal work, whoever makes the job."""
        description = {
            "task": self.task,
            "graph": self.graph,
            "weights": hashlib.sha256(self.weights).hexdigest(),
            "arguments": self.arguments,
            "plugins": self.plugins,
            "seed": self.seed,
            "pins": list(self.pins),
        }
        text = json.dumps(description, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Share:
    """Consecutive items of the data; where shares end follows from the data alone.

    Args:
        number: Its place among the shares, from 0.
        tickets: The items.
    """

    number: int
    tickets: Sequence[Ticket]


@dataclass(frozen=True)
class Outcome:
    """What came of one share.

    Args:
        number: The number of the share.
        data: What the task gave; None where it failed.
        errors: The errors, each with ``what``, ``where``, ``fix`` and ``exit_code``. They are
            values: no exception travels.
    """

    number: int
    data: bytes | None = None
    errors: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Subtree:
    """The total of a complete subtree of the tree in which shares are merged.

    Args:
        level: Its level: 0 of one share, 1 of eight, 2 of 64.
        number: Its place among the subtrees of its level, from 0.
        data: What its shares gave, merged.
    """

    level: int
    number: int
    data: bytes


class Parts(Protocol):
    """Totals of complete subtrees of a job, which outlast the process."""

    def subtrees(self) -> Sequence[Subtree]:
        """Those that an earlier process stored; none of them covers another."""

    def wants(self, level: int) -> bool:
        """Whether totals of this level are stored."""

    def store(self, subtree: Subtree) -> None:
        """Store a total."""


@runtime_checkable
class Task(Protocol):
    """Work on some of the data that any process can do; made again for each job and process."""

    def begin(self, job: Job) -> None:
        """Build the graph, load its state and compile what is needed."""

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """Work through one share."""

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """Join what several shares gave, in their order."""


@runtime_checkable
class Executor(Protocol):
    """Who works on the shares of a job: this process, other processes or other machines."""

    def each(self, job: Job, shares: Iterable[Share]) -> Iterator[Outcome]:
        """What comes of each share, in any order, as soon as it is known."""

    def total(self, job: Job, shares: Iterable[Share]) -> bytes:
        """What comes of all shares, merged by a tree that depends on their number alone.

        Raises:
            SpecloomError: A share failed; ``Problems`` where several did.
        """


@runtime_checkable
class ResumableExecutor(Executor, Protocol):
    """An executor that goes on where an earlier process was stopped."""

    def resume_total(self, job: Job, shares: Iterable[Share], parts: Parts) -> bytes:
        """As ``total``, of these shares and of the subtrees that are stored already.

        Args:
            job: The job.
            shares: The shares that are in no stored subtree.
            parts: The stored subtrees; each further one that is complete is stored there.

        Raises:
            SpecloomError: A share failed; ``Problems`` where several did.
        """
