"""Jobs and outcomes as plain values: what travels between client, scheduler and workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from specloom import Job, Outcome, Plugins, SpecloomError, UnavailableError
from specloom_dask.protocol import PROTOCOL

PLAIN = (str, int, float, bool, bytes, type(None))


def pack_job(job: Job, plugins: Plugins) -> dict[str, Any]:
    """A job as plain values.

    Args:
        job: The job.
        plugins: Where the task is looked up by name; workers import the same modules.
    """
    modules = {name: _module_name(module) for name, module in plugins.modules.items()}
    packed = {
        "protocol": PROTOCOL,
        "task": job.task,
        "graph": job.graph,
        "weights": job.weights,
        "arguments": json.dumps(job.arguments),
        "plugins": dict(job.plugins),
        "seed": job.seed,
        "modules": modules,
        "pins": json.dumps(list(job.pins)),
    }
    identity = json.dumps([job.key, modules], sort_keys=True)
    packed["key"] = hashlib.sha256(identity.encode()).hexdigest()
    return packed


def unpack_job(packed: Mapping[str, Any]) -> Job:
    """The job that was packed."""
    return Job(
        packed["task"],
        graph=packed["graph"],
        weights=packed["weights"],
        arguments=json.loads(packed["arguments"]),
        plugins=packed["plugins"],
        seed=packed["seed"],
        pins=json.loads(packed["pins"]),
    )


def outcome_of(number: int, result: Mapping[str, Any]) -> Outcome:
    """The outcome of a share, from what a worker gave."""
    return Outcome(number, result["data"], tuple(result["errors"]))


def error_values(error: SpecloomError) -> dict[str, Any]:
    """An error as plain values."""
    return {
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "exit_code": error.exit_code,
    }


def error_of(values: Mapping[str, Any]) -> SpecloomError:
    """The error that plain values describe, with its exit code."""
    error = SpecloomError(values["what"], where=values["where"], fix=values["fix"])
    error.exit_code = values["exit_code"]  # of this error alone
    return error


def check_protocol(packed: Mapping[str, Any], worker: str) -> None:
    """Hold client and worker to one version of what travels.

    Raises:
        UnavailableError: They have different ones.
    """
    found = packed.get("protocol")
    if found == PROTOCOL:
        return
    raise UnavailableError(
        f"it has protocol {PROTOCOL} of specloom-dask, the client has {found}",
        where=f"worker {worker}",
        fix="install the same version of specloom-dask on both",
    )


def unplain(value: Any, place: str = "value") -> str:
    """Where in a value something is that is not plain; empty where all of it is."""
    if isinstance(value, list):
        parts = {f"{place}[{number}]": one for number, one in enumerate(value)}
    elif isinstance(value, dict):
        parts = {f"{place}[{key!r}]": one for key, one in value.items()}
    elif type(value) in PLAIN:
        return ""
    else:
        return f"{place} is {type(value).__name__}"
    for name, part in parts.items():
        found = unplain(part, name)
        if found:
            return found
    return ""


def _module_name(module: Any) -> str:
    """The name by which a worker imports a plugin."""
    if isinstance(module, str):
        return str(module)
    return str(module.__name__)
