"""The executor in this process: one share after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from specloom import (
    Job,
    MergeTree,
    Outcome,
    Parts,
    Plugins,
    Problems,
    Share,
    SpecloomError,
    Subtree,
    Task,
    machine_error,
    raise_all,
)


class Here:
    """Works on shares one after another, in this process.

    Its shares and its tree are those of every other executor, so its results are theirs, bit for
    bit, on the same kind of processor.

    Args:
        plugins: Where tasks are looked up by name; by default what is installed.
    """

    def __init__(self, plugins: Plugins | None = None) -> None:
        self.plugins = plugins or Plugins()

    def each(self, job: Job, shares: Iterable[Share]) -> Iterator[Outcome]:
        """What comes of each share, in their order; the errors of a share end no other."""
        task = self._begin(job)
        for share in shares:
            yield _outcome(task, share)

    def total(self, job: Job, shares: Iterable[Share]) -> bytes:
        """What comes of all shares, merged by the fixed tree.

        Raises:
            SpecloomError: A share failed; the shares after it are not started.
            ValueError: There is no share.
        """
        task = self._begin(job)
        return _total(task, shares, MergeTree(task.merge))

    def resume_total(self, job: Job, shares: Iterable[Share], parts: Parts) -> bytes:
        """As ``total``, of these shares and of the subtrees that are stored already.

        Raises:
            SpecloomError: A share failed; the shares after it are not started.
            ValueError: There is no share.
        """
        task = self._begin(job)
        return _total(task, shares, resumed_tree(task.merge, parts))

    def _begin(self, job: Job) -> Task:
        """The task of a job, ready for shares.

        Raises:
            PluginError: No plugin offers such a task.
        """
        _, cls = self.plugins.find(job.task, ("tasks",), "the job")
        task: Task = cls()
        task.begin(job)
        return task


def resumed_tree(merge: Callable[[Sequence[bytes]], bytes], parts: Parts) -> MergeTree[bytes]:
    """A tree that has the stored subtrees, and stores each that is completed."""

    def store(level: int, number: int, data: bytes) -> None:
        if parts.wants(level):
            parts.store(Subtree(level, number, data))

    tree = MergeTree(merge, store)
    for one in parts.subtrees():
        tree.add_subtree(one.level, one.number, one.data)
    return tree


def _total(task: Task, shares: Iterable[Share], tree: MergeTree[bytes]) -> bytes:
    for share in shares:
        outcome = _outcome(task, share)
        raise_all([_as_error(one) for one in outcome.errors])
        tree.add(outcome.number, outcome.data or b"")
    return tree.total()


def _outcome(task: Task, share: Share) -> Outcome:
    try:
        return Outcome(share.number, task.do(share.tickets))
    except Problems as problems:
        errors = problems.errors
    except SpecloomError as error:
        errors = (error,)
    except Exception as error:
        errors = (_as_specloom_error(error),)
    return Outcome(share.number, None, tuple(_as_json(error) for error in errors))


def _as_specloom_error(error: Exception) -> SpecloomError:
    """Any error as one of ours: of the machine, or else of the task."""
    machine = machine_error(error)
    if machine is not None:
        return machine
    return _TaskError(
        f"the task failed: {type(error).__name__}: {error}", fix="report this as a bug"
    )


class _TaskError(SpecloomError):
    """A task ended with an error that is none of the user's."""

    exit_code = 70


def _as_json(error: SpecloomError) -> Mapping[str, Any]:
    return {
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "exit_code": error.exit_code,
    }


def _as_error(found: Mapping[str, Any]) -> SpecloomError:
    """The error that an outcome describes, with its exit code."""
    error = SpecloomError(found["what"], where=found["where"], fix=found["fix"])
    error.exit_code = found["exit_code"]  # of this error alone
    return error
