"""What a worker does for a job: shares, merges and the handshake.

Nothing of a plugin is imported here before the finder of pinned plugins is installed.
"""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from specloom import Plugins, Problems, SpecloomError, Task, install_pins, machine_error, store_tree
from specloom_dask.handshake import examine, worker_address, worker_name
from specloom_dask.weights_file import with_weights
from specloom_dask.wire import check_protocol, error_values, unpack_job

MOST_TASKS = 4
"""The tasks that a worker holds ready."""

_installed: set[str] = set()
"""The pins that were installed, as text."""

_tasks: OrderedDict[str, Task] = OrderedDict()
#: One share at a time: nodes hold what they collect.
_lock = threading.Lock()


def do_verb(verb: str, job: dict[str, Any], numbers: list[int], payload: Any) -> dict[str, Any]:
    """Do what ``verb`` names; errors are among the values that come back.

    Args:
        verb: ``do``, ``merge``, ``report``, ``handshake`` or ``store``.
        job: The job as plain values.
        numbers: The shares that it is about.
        payload: For ``do`` tickets as JSON, for ``merge`` the results of several calls, for
            ``report`` that of one, for ``handshake`` what is to be looked at, as JSON, for
            ``store`` a tree and its files.
    """
    if verb == "report":
        return _report(payload)
    started = time.perf_counter()
    result: dict[str, Any] = {"numbers": numbers, "data": None, "stops": False, "missing": []}
    result |= {"errors": [], "warnings": [], "address": worker_address()}
    with _lock, _warnings_into(result["warnings"]):
        try:
            if verb != "store":
                check_protocol(job, worker_name())
                result["missing"] = _install_pins(job["pins"])
            if not result["missing"]:
                result["data"] = VERBS[verb](job, payload)
        except Exception as error:
            result["errors"] = [error_values(one) for one in _specloom_errors(error)]
            # A job that cannot begin here is no error of the share.
            result["stops"] = job.get("key") not in _tasks
    if verb == "merge":
        _take_over_errors(result, payload)
    result["seconds"] = time.perf_counter() - started
    result["worker"] = worker_name()
    result["process"] = os.getpid()
    return result


def _do(job: Mapping[str, Any], tickets: str) -> bytes:
    return _task(job).do(json.loads(tickets))


def _merge(job: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The parts as one; None where one of them has none, as its share failed."""
    found = [part["data"] for part in parts]
    if any(data is None for data in found):
        return None
    if len(found) == 1:
        return found[0]  # type: ignore[no-any-return]  # bytes, as the line above has seen
    return _task(job).merge(found)


def _handshake(job: Mapping[str, Any], wanted: str) -> bytes:
    found = examine(job, json.loads(wanted))
    fits = not found["absent"] and found["plugins"] == json.loads(wanted)["plugins"]
    if job["task"] and fits:
        _task(job)  # so that what it lacks is known, and the first share need not wait
    return json.dumps(found).encode()


def _store(job: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
    store_tree(payload["tree"], payload["files"])


VERBS: Mapping[str, Callable[[Mapping[str, Any], Any], bytes | None]] = {
    "do": _do,
    "merge": _merge,
    "handshake": _handshake,
    "store": _store,
}


def _install_pins(text: str) -> list[str]:
    """Make the pinned plugins of a job importable; the trees that are not here."""
    if text in _installed:
        return []
    missing = install_pins(json.loads(text))
    if not missing:
        _installed.add(text)
    return missing


def _report(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without its data."""
    return {key: value for key, value in result.items() if key != "data"}


def _take_over_errors(result: dict[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    for part in parts:
        result["errors"] += part["errors"]


def _task(packed: Mapping[str, Any]) -> Task:
    """The task of a job, ready for shares."""
    key = packed["key"]
    if key in _tasks:
        _tasks.move_to_end(key)
        return _tasks[key]
    while len(_tasks) >= MOST_TASKS:
        _tasks.popitem(last=False)
    job = unpack_job(with_weights(packed))
    plugins = Plugins(packed["modules"])
    _, cls = plugins.find(job.task, ("tasks",), "the job")
    task: Task = cls()
    task.begin(job)
    _tasks[key] = task
    return task


def _specloom_errors(error: Exception) -> Sequence[SpecloomError]:
    """Any error as one or several of ours."""
    if isinstance(error, Problems):
        return error.errors
    if isinstance(error, SpecloomError):
        return (error,)
    machine = machine_error(error)
    if machine is not None:
        return (machine,)
    bug = SpecloomError(
        f"the task failed: {type(error).__name__}: {error}", fix="report this as a bug"
    )
    bug.exit_code = 70  # of this error alone
    return (bug,)


@contextmanager
def _warnings_into(found: list[str]) -> Iterator[None]:
    """Collect warnings, which travel with the outcome."""
    with warnings.catch_warnings(record=True) as caught:
        try:
            yield
        finally:
            texts = [str(one.message) for one in caught]
            found += dict.fromkeys(texts)
