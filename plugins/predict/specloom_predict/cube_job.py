"""Predictions of many cubes by a job: the task, and what the process does that wrote the job."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count
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
from specloom_predict.split_work import SHARE_SECONDS, SplitWork

if TYPE_CHECKING:
    from specloom_predict.inputs import Placed

TASK = "predict.Cubes"

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
    """A share of cubes, or of tiles of one, each predicted into its folder."""

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
        """What became of each, as JSON."""
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
        report_tiles: Called with how many tiles of cubes that are split are made, and how many
            these have so far.
    """

    def __init__(
        self,
        executor: Executor,
        job: Job,
        inputs: Sequence[Placed],
        take_known: Callable[[int], bool],
        report_tiles: Callable[[int, int], None] | None = None,
    ) -> None:
        self._executor = executor
        self._job = job
        #: Each input with the folder of its results.
        self.inputs = inputs
        self._take_known = take_known
        self._report_tiles = report_tiles
        self._tiles_made = 0
        self._tiles = 0
        #: The first error that is a bug.
        self.unexpected: Exception | None = None
        #: The cubes that are not split though they are large enough, by the reason.
        self.not_split: dict[str, list[str]] = {}
        self._out = Path(job.arguments["order"]["out"])
        self._seconds = 0.0
        self._done = 0
        self._rest = iter(enumerate(inputs))
        self._again: deque[Ticket] = deque()
        self._split: dict[int, SplitWork] = {}
        self._ended: set[int] = set()
        self._left: list[SplitWork] = []
        self._running: dict[int, Sequence[Ticket]] = {}

    def outcomes(self) -> Iterator[tuple[int, CubeOutcome]]:
        """The number and the outcome of each input that workers predict, in any order.

        A share that failed as a whole is done again ticket by ticket, so that a cube that kills
        its worker fails alone. What comes of a share may give further ones: the tiles of a cube.
        """
        yield from self._round()
        while self._again or self._split:
            yield from self._round()

    def close(self) -> None:
        """Leave the tiles of cubes that are not complete to a later call."""
        for split in [*self._split.values(), *self._left]:
            split.folder.close()

    def _round(self) -> Iterator[tuple[int, CubeOutcome]]:
        """The outcomes of all shares that there are, with those that they give meanwhile."""
        for outcome in self._executor.each(self._job, self._shares()):
            tickets = self._running.pop(outcome.number)
            if outcome.data is not None:
                yield from self._read(outcome.data)
            elif len(tickets) == 1:
                yield from self._take(*self._failed(tickets[0], outcome.errors))
            else:
                self._again += tickets

    def _shares(self) -> Iterator[Share]:
        """What there is to do, each share cut when it is taken."""
        for number in self._numbers:
            tickets = self._following()
            if not tickets:
                return
            self._running[number] = tickets
            yield Share(number, tickets)

    @cached_property
    def _numbers(self) -> Iterator[int]:
        return count()

    def _following(self) -> Sequence[Ticket]:
        """The tickets of the next share: tiles first, so that few cubes are in pieces at a time."""
        for split in self._split.values():
            tickets = split.following()
            if tickets:
                return tickets
        tickets = self._cubes()
        if tickets:
            return tickets
        while self._again:
            ticket = self._again.popleft()
            if ticket["number"] not in self._ended:
                return [ticket]
        return []

    def _cubes(self) -> Sequence[Ticket]:
        """As many cubes as take about two seconds, fewer at the end; none where all started."""
        tickets: list[Ticket] = []
        for at, (one, folder) in self._rest:
            if self._take_known(at):
                continue
            # Paths are absolute: another process may have another folder.
            place = str(folder.resolve())
            tickets.append({"number": at, "input": one.key, "key": one.key, "folder": place})
            if len(tickets) >= self._size(len(self.inputs) - at + len(tickets)):
                break
        return tickets

    def _read(self, data: bytes) -> Iterator[tuple[int, CubeOutcome]]:
        for number, outcome in json.loads(data):
            yield from self._take(number, outcome)

    def _take(self, number: int, outcome: CubeOutcome) -> Iterator[tuple[int, CubeOutcome]]:
        """Take in what became of a cube or of a tile of it; the outcome, where it is the cube's."""
        if number in self._ended:  # of a cube that failed in another tile
            return
        split = self._split.get(number)
        if outcome["state"] == "split":
            self._begin_split(number, outcome)
            return
        if outcome["state"] == "tile":
            assert split is not None, "tiles are of cubes that are split"
            split.take(outcome)
            self._count_tiles(made=1)
            return
        if split is not None:
            del self._split[number]
            self._ended.add(number)
            self._end_split(split, outcome)
            self._count_tiles(made=split.count - split.made)
        else:
            self._seconds += outcome["line"].get("seconds", 0.0)
            self._done += 1
        if "unexpected" in outcome and self.unexpected is None:
            self.unexpected = WorkerError(outcome["unexpected"])
        if "whole" in outcome:
            self.not_split.setdefault(outcome["whole"], []).append(self.inputs[number][0].address)
        yield number, outcome

    def _begin_split(self, number: int, outcome: CubeOutcome) -> None:
        """Take in that a cube is to be split; a worker may say it again."""
        if number in self._split:
            return
        one, folder = self.inputs[number]
        ticket = {
            "number": number,
            "input": one.key,
            "key": one.key,
            "folder": str(folder.resolve()),
            "tiles": outcome["tiles"],
            "files_in": outcome["files_in"],
        }
        split = SplitWork(ticket, outcome["count"], self._out)
        self._split[number] = split
        self._count_tiles(made=split.made, more=split.count)

    def _count_tiles(self, made: int, more: int = 0) -> None:
        """Report how far the tiles are.

        Args:
            made: How many more are made, or are no longer needed.
            more: How many more there are.
        """
        self._tiles_made += made
        self._tiles += more
        if self._report_tiles is not None:
            self._report_tiles(self._tiles_made, self._tiles)

    def _end_split(self, split: SplitWork, outcome: CubeOutcome) -> None:
        """Remove the tiles of a cube.

        Where the machine was too small for it (its memory, its disk), they stay for a later call.
        """
        if outcome.get("stops") or outcome.get("lost"):
            self._left.append(split)
        else:
            split.folder.remove()

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
        line = {
            "input": ticket["key"],
            "folder": Path(ticket["folder"]).relative_to(self._out).as_posix(),
            "errors": [_at(error, one.address) for error in errors],
        }
        return ticket["number"], {"state": "failed", "line": line, "lost": True}


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
