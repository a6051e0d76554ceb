"""Predictions of many cubes by a job: the task, and how the process that wrote it takes results."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import (
    Executor,
    Job,
    Plugins,
    Run,
    Share,
    SpecloomError,
    Ticket,
    machine_error,
    pack,
    unpack,
)
from specloom_cubes import OneCube
from specloom_predict import record
from specloom_predict.inputs import Input
from specloom_predict.predictor import Predictor

if TYPE_CHECKING:
    from specloom_predict.many import _OneCube

TASK = "predict.Cubes"

SHARE_SECONDS = 2.0
"""A share is as many cubes as take about so long; results do not depend on it."""

MOST_CUBES = 256

ORIGIN = ("plugins", "kernel", "kernel_commit")
"""What records of results say of their making, which the client alone knows."""


class Cubes:
    """A share of cubes, each predicted into its folder."""

    def begin(self, job: Job) -> None:
        """Build the pipeline.

        Raises:
            SpecloomError: It cannot be made here.
        """
        from specloom_predict.many import _OneCube

        arguments = job.arguments
        plugins = Plugins(arguments["modules"])
        graph, metadata = unpack(job.graph, job.weights, plugins, "the job's pipeline")
        run = Run(graph, OneCube(), plugins=plugins, device="cpu", metadata=metadata)
        predictor = Predictor(run, arguments["outputs"], "cpu", scale=arguments["scale"])
        predictor.run.record.update(arguments["origin"])
        self._work = _OneCube(
            predictor,
            arguments["formats"],
            pipeline_digest=arguments["pipeline_digest"],
            result_options=arguments["result_options"],
            variable=arguments["variable"],
            options=arguments["options"],
        )

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What became of each cube, as JSON."""
        return json.dumps([self._one(ticket) for ticket in tickets]).encode()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What became of the cubes of several shares."""
        found: list[Any] = []
        for part in parts:
            found += json.loads(part)
        return json.dumps(found).encode()

    def _one(self, ticket: Ticket) -> dict[str, Any]:
        started = time.perf_counter()
        found: dict[str, Any] = {"number": ticket["number"]}
        one = Input(ticket["cube"], ticket["name"])
        try:
            made = self._work.predict(one, Path(ticket["folder"]))
            found["entry"] = made.entry
            found["measures"] = made.measures.as_json()
            found["domain"] = record.read(Path(ticket["folder"])).get("domain")
        except Exception as error:
            found["error"] = _error_values(error)
        found["seconds"] = time.perf_counter() - started
        return found


def cube_job(work: _OneCube, outputs: Sequence[str], scale: str | None) -> Job:
    """The job that predicts cubes as ``work`` does.

    Args:
        work: What predicts a cube in this process.
        outputs: The names of the outputs that are wanted; all where empty.
        scale: As ``predict`` takes it.
    """
    run = work.predictor.run
    plugins = run.plugins
    graph = run.graph
    text, weights = pack(graph, plugins, {"name": str(run.metadata["name"])})
    names = [
        graph.types.get(name) or plugins.reference(type(graph.nodes[name])) for name in graph.nodes
    ]
    versions = plugins.versions([*names, TASK, "cubes.Folder"])
    modules = {name: _module_name(plugins.modules[name]) for name in plugins.modules}
    options = dict(work.options)
    if options.get("wavelengths") is not None:
        options["wavelengths"] = str(Path(options["wavelengths"]).resolve())
    arguments = {
        "formats": list(work.formats),
        "pipeline_digest": work.pipeline_digest,
        "result_options": work.result_options,
        "variable": work.variable,
        "options": options,
        "outputs": list(outputs),
        "scale": scale,
        "modules": modules,
        "origin": {key: run.record[key] for key in ORIGIN if key in run.record},
    }
    return Job(TASK, text, weights, arguments, versions, run.seed)


class CubeShares:
    """Shares of as many cubes as take about two seconds, by the mean of those that were done."""

    def __init__(self, inputs: Sequence[tuple[Input, Path]]) -> None:
        self._inputs = inputs
        self._seconds = 0.0
        self._done = 0

    def __iter__(self) -> Iterator[Share]:
        """The shares, each cut when it is taken."""
        first = 0
        number = 0
        while first < len(self._inputs):
            last = min(first + self._size(), len(self._inputs))
            yield Share(number, [self.ticket(at) for at in range(first, last)])
            first = last
            number += 1

    def note(self, seconds: float) -> None:
        """Take in how long a cube took."""
        self._seconds += seconds
        self._done += 1

    def ticket(self, number: int) -> Ticket:
        """How a worker finds an input, and where its results go."""
        one, folder = self._inputs[number]
        # A path or an address, which another process understands as well.
        return {
            "number": number,
            "cube": one.key,
            "name": one.name,
            "folder": str(folder.resolve()),
        }

    def _size(self) -> int:
        if not self._done:
            return 1
        mean = max(self._seconds / self._done, 1e-6)
        return max(1, min(MOST_CUBES, int(SHARE_SECONDS / mean)))


def results_by_job(
    executor: Executor, job: Job, inputs: Sequence[tuple[Input, Path]]
) -> Iterator[dict[str, Any]]:
    """What became of each input, in any order.

    A share that failed as a whole is done again cube by cube, so that a cube that kills its
    worker fails alone.
    """
    shares = CubeShares(inputs)
    tickets: dict[int, Sequence[Ticket]] = {}
    again: deque[Ticket] = deque()
    for outcome in executor.each(job, _noted(shares, tickets)):
        failed = tickets.pop(outcome.number)
        if outcome.data is None and len(failed) == 1:
            yield _failed(failed[0], outcome.errors)
        elif outcome.data is None:
            again += failed
        else:
            for found in json.loads(outcome.data):
                shares.note(found["seconds"])
                yield found
    singles = dict(enumerate(again))
    for outcome in executor.each(job, [Share(at, [one]) for at, one in singles.items()]):
        if outcome.data is None:
            yield _failed(singles[outcome.number], outcome.errors)
        else:
            yield from json.loads(outcome.data)


def _noted(shares: Iterable[Share], tickets: dict[int, Sequence[Ticket]]) -> Iterator[Share]:
    for share in shares:
        tickets[share.number] = share.tickets
        yield share


def _failed(ticket: Ticket, errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"number": ticket["number"], "seconds": 0.0, "error": dict(errors[0])}


def error_of(values: Mapping[str, Any]) -> SpecloomError:
    """The error that plain values describe, with its exit code."""
    error = SpecloomError(values["what"], where=values["where"], fix=values["fix"])
    error.exit_code = values["exit_code"]  # of this error alone
    return error


def _error_values(error: Exception) -> dict[str, Any]:
    reported = error if isinstance(error, SpecloomError) else machine_error(error)
    unexpected = reported is None
    if reported is None:
        reported = SpecloomError(f"specloom failed on it: {type(error).__name__}: {error}")
    return {
        "what": reported.what,
        "where": reported.where,
        "fix": reported.fix,
        "exit_code": reported.exit_code,
        "unexpected": unexpected,
    }


def _module_name(module: Any) -> str:
    if isinstance(module, str):
        return str(module)
    return str(module.__name__)
