"""Predictions of many cubes by a job: the task, and what the process does that wrote the job."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import (
    DataError,
    Executor,
    Job,
    Plugins,
    Run,
    Share,
    SpecloomError,
    Ticket,
    pack,
    unpack,
)
from specloom_cubes import OneCube
from specloom_predict.cube_task import CubeOutcome, CubeTask, Order
from specloom_predict.predictor import Predictor

if TYPE_CHECKING:
    from specloom_predict.inputs import Placed

TASK = "predict.Cubes"

SHARE_SECONDS = 2.0
"""A share is as many cubes as take about so long; results do not depend on it."""

MOST_CUBES = 256
"""The cubes of a share at most."""

LAST_SHARES = 4
"""What is left is at least so many shares, so that workers end together, …"""

LEAST_CUBES = 4
"""… but no share has fewer cubes for that reason."""

LATEST = 100
"""The latest cubes, of which half may not fail with one message."""

ORIGIN = ("plugins", "kernel", "kernel_commit")
"""What records of results say of their making, which the client alone knows."""


class Cubes:
    """A share of cubes, each predicted into its folder."""

    def begin(self, job: Job) -> None:
        """Build the pipeline.

        Raises:
            SpecloomError: It cannot be made here.
        """
        arguments = job.arguments
        plugins = Plugins(arguments["modules"])
        graph, metadata = unpack(job.graph, job.weights, plugins, "the job's pipeline")
        run = Run(graph, OneCube(), plugins=plugins, device="cpu", metadata=metadata)
        predictor = Predictor(run, arguments["outputs"], "cpu", scale=arguments["scale"])
        predictor.run.record.update(arguments["origin"])
        self._predictor = predictor
        self._order = Order(**arguments["order"])

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What became of each cube, as JSON."""
        with CubeTask(self._predictor, self._order) as task:
            found = [(ticket["number"], task.do(ticket)) for ticket in tickets]
        return json.dumps(found).encode()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What became of the cubes of several shares."""
        found: list[Any] = []
        for part in parts:
            found += json.loads(part)
        return json.dumps(found).encode()


def cube_job(predictor: Predictor, order: Order, outputs: Sequence[str], scale: str | None) -> Job:
    """The job that makes of cubes what an order says.

    Args:
        predictor: The fitted pipeline.
        order: What is made of every cube.
        outputs: The names of the outputs that are wanted; all where empty.
        scale: As ``predict`` takes it.
    """
    run = predictor.run
    plugins = run.plugins
    nodes: Mapping[str, Any] = run.graph.nodes
    text, weights = pack(run.graph, plugins, {"name": str(run.metadata["name"])})
    references = [
        run.graph.types.get(name) or plugins.reference(type(nodes[name])) for name in nodes
    ]
    absolute = replace(
        order, out=str(Path(order.out).resolve()), wavelengths=_absolute(order.wavelengths)
    )
    arguments = {
        "order": absolute.as_json(),
        "outputs": list(outputs),
        "scale": scale,
        "modules": {name: _module_name(module) for name, module in plugins.modules.items()},
        "origin": {key: run.record[key] for key in ORIGIN if key in run.record},
    }
    versions = plugins.versions([*references, TASK, "cubes.Folder"])
    return Job(TASK, text, weights, arguments, versions, run.seed, plugins.pins())


class CubeWork:
    """The inputs of a call as shares, and their outcomes as they come.

    Args:
        executor: Who works on the shares.
        job: The job.
        inputs: Each input with the folder of its results.
        take_known: Takes in what is known of the input of a number; whether it needs no worker.
    """

    def __init__(
        self,
        executor: Executor,
        job: Job,
        inputs: Sequence[Placed],
        take_known: Callable[[int], bool],
    ) -> None:
        self._executor = executor
        self._job = job
        #: Each input with the folder of its results.
        self.inputs = inputs
        self._take_known = take_known
        #: The first error that is a bug.
        self.unexpected: Exception | None = None
        self._seconds = 0.0
        self._done = 0
        self._begun: dict[int, Sequence[Ticket]] = {}

    def outcomes(self) -> Iterator[tuple[int, CubeOutcome]]:
        """The number and the outcome of each input that workers predict, in any order.

        A share that failed as a whole is done again cube by cube, so that a cube that kills its
        worker fails alone.
        """
        again: list[Ticket] = []
        for outcome in self._executor.each(self._job, self._shares()):
            tickets = self._begun.pop(outcome.number)
            if outcome.data is not None:
                yield from self._read(outcome.data)
            elif len(tickets) == 1:
                yield self._failed(tickets[0], outcome.errors)
            else:
                again += tickets
        singles = [Share(number, (ticket,)) for number, ticket in enumerate(again)]
        for outcome in self._executor.each(self._job, singles):
            if outcome.data is None:
                yield self._failed(again[outcome.number], outcome.errors)
            else:
                yield from self._read(outcome.data)

    def _shares(self) -> Iterator[Share]:
        """Shares of as many cubes as take about two seconds, fewer at the end.

        Each is cut when it is taken.
        """
        tickets: list[Ticket] = []
        number = 0
        for at, (one, folder) in enumerate(self.inputs):
            if self._take_known(at):
                continue
            # Paths are absolute: another process may have another folder.
            place = str(folder.resolve())
            tickets.append({"number": at, "input": one.key, "key": one.key, "folder": place})
            if len(tickets) >= self._size(len(self.inputs) - at + len(tickets)):
                self._begun[number] = tickets
                yield Share(number, tickets)
                tickets = []
                number += 1
        if tickets:
            self._begun[number] = tickets
            yield Share(number, tickets)

    def _read(self, data: bytes) -> Iterator[tuple[int, CubeOutcome]]:
        for number, outcome in json.loads(data):
            self._seconds += outcome["line"]["seconds"]
            self._done += 1
            if "unexpected" in outcome and self.unexpected is None:
                self.unexpected = WorkerError(outcome["unexpected"])
            yield number, outcome

    def _size(self, left: int) -> int:
        """How many cubes are a share: one, until it is known how long they take.

        Args:
            left: The inputs that are left.
        """
        if not self._done:
            return 1
        mean = max(self._seconds / self._done, 1e-6)
        most = min(MOST_CUBES, max(LEAST_CUBES, left // LAST_SHARES))
        return max(1, min(most, int(SHARE_SECONDS / mean)))

    def _failed(
        self, ticket: Ticket, errors: Sequence[Mapping[str, Any]]
    ) -> tuple[int, CubeOutcome]:
        one, _ = self.inputs[ticket["number"]]
        out = Path(self._job.arguments["order"]["out"])
        line = {
            "input": ticket["key"],
            "folder": Path(ticket["folder"]).relative_to(out).as_posix(),
            "errors": [_at(error, one.address) for error in errors],
        }
        return ticket["number"], {"state": "failed", "line": line}


class RepeatedFailures:
    """Notices that half of the latest cubes failed with one message.

    Args:
        ignored: Whether nothing is noticed.
    """

    def __init__(self, *, ignored: bool = False) -> None:
        self._ignored = ignored
        self._latest: deque[str] = deque(maxlen=LATEST)

    def add(self, address: str, outcome: CubeOutcome) -> DataError | None:
        """Take in the outcome of a cube; the error with which to stop, if it is time to."""
        message = ""
        if outcome["state"] == "failed":
            message = outcome["line"]["errors"][0]["what"].replace(Path(address).name, "…")
            message = message.replace(str(Path(address).parent), "…")
        self._latest.append(message)
        if self._ignored or not message or len(self._latest) < LATEST:
            return None
        if 2 * self._latest.count(message) < LATEST:
            return None
        what = f"half of the latest {LATEST} cubes failed with one message: {message}"
        return DataError(what, fix="check the cubes and the pipeline, or add --keep-going")


class WorkerError(Exception):
    """An error of a worker that is a bug, with its trace."""


def _at(error: Mapping[str, Any], address: str) -> dict[str, Any]:
    """An error of a share as one of its cube."""
    where = error["where"] or address
    return {"kind": SpecloomError.__name__, **error, "where": where}


def _absolute(wavelengths: Any) -> Any:
    """A path that other processes find; numbers as they are."""
    if isinstance(wavelengths, str):
        return str(Path(wavelengths).resolve())
    return wavelengths


def _module_name(module: Any) -> str:
    """The name by which another process imports a plugin."""
    if isinstance(module, str):
        return str(module)
    return str(module.__name__)
