"""The one function that Dask's scheduler and workers know of specloom.

The scheduler unpickles what it is sent, and so imports the module of the function: this module
imports nothing but the standard library. Arguments and results are plain values.
"""

from __future__ import annotations

from typing import Any

#: The version of what travels. Client and workers must have the same.
PROTOCOL = 1


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
    from specloom_dask.worker import do_verb

    return do_verb(verb, job, numbers, payload)
