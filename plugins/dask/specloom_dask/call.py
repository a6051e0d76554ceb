"""The one function that Dask's scheduler and workers know of specloom.

The scheduler unpickles what it is sent, and so imports the module of the function: this module
imports nothing but the standard library. Arguments and results are plain values.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def call(verb: str, job: dict[str, Any], numbers: list[int], payload: Any) -> dict[str, Any]:
    """Do what ``verb`` names.

    Args:
        verb: ``keep`` gives the job back, so that it is the result of a task; the others are
            those of ``specloom_dask.worker``.
        job: The job, as ``specloom_dask.wire`` writes it.
        numbers: The shares that it is about.
        payload: What the verb needs besides.
    """
    if verb == "keep":
        return job
    worker: Any = import_module("specloom_dask.worker")  # the scheduler must not import it
    found: dict[str, Any] = worker.do_verb(verb, job, numbers, payload)
    return found
