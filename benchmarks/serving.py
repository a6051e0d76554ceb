"""What a server adds to the time of ``Predictor.predict``, over HTTP and gRPC.

    python benchmarks/serving.py --repeats 15

One process holds the pipeline (RX, logits, decisions), the server and the client, which take turns
on the same cubes: 1080 x 1000 x 61 by a path to ENVI, and 100 x 100 x 61 in the body. Printed are
CPU seconds of the process, client included, which hold up where something else runs on the machine;
with ``--clock wall`` seconds that pass. ``--take median`` is the median of the turns, and what is
added the median of the differences within turns; ``--take least`` the least times, for a machine
that is busy.

The total of a request has three parts: the pipeline within the server; the client, which is the
CPU time of its thread; and the server, which is the rest. ``numbers`` are verdict, measures and
objects, which are measured on decisions; the bare pipeline's line for them has the same. ``scores``
are the map. ``Client`` is that of ``specloom_serve``, which gets all maps and numbers.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from specloom import Pipeline
from specloom_cubes import AnomalyDataNode
from specloom_deciders import BinaryDecider
from specloom_predict import Prediction, Predictor
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_serve import Client, Engine, Limits
from specloom_serve.command import Binding, http_server, reuse_memory
from specloom_serve.grpc_server import GrpcServer
from specloom_serve.messages import array_message
from specloom_serve.metrics import Metrics
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.protocol.service_pb2_grpc import SpecloomStub
from specloom_serve.service import Service

SIZES = {"full": ((1080, 1000, 61), (100, 100, 61)), "tiny": ((40, 30, 8), (20, 20, 8))}
"""Rows, columns and bands of the cube by path, and of the one in the body."""

IDLE_SECONDS = 3.0
"""How long a connection is not used before it is opened again: the server closes it after 5 s."""

SCORES = "bare pipeline, scores"
NUMBERS = "bare pipeline, scores and numbers"

CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}

TAKES = ("median", "least")

Calls = Mapping[str, Callable[[], Any]]


def numbers_of(found: Prediction) -> tuple[Any, Any]:
    """The numbers of a prediction, which are computed on first use."""
    return found.verdict, found.objects


class TimedPredictor(Predictor):
    """A predictor that measures its own part of a request.

    Args:
        pipeline: The fitted pipeline.
        clock: What measures.
    """

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        super().__init__(pipeline, device="cpu")
        self._clock = clock
        #: Whether numbers are part of a prediction, and not only the maps.
        self.has_numbers = False
        #: The seconds of the last prediction.
        self.seconds = 0.0

    def predict(self, *arguments: Any, **options: Any) -> Prediction:
        """As ``Predictor.predict``, with the numbers where they are a part of it."""
        started = self._clock()
        found = super().predict(*arguments, **options)
        if self.has_numbers:
            numbers_of(found)
        self.seconds = self._clock() - started
        return found


def scene(shape: tuple[int, int, int]) -> np.ndarray:
    """A cube of float32 (H, W, C) with a few objects."""
    rng = np.random.default_rng(5)
    values = rng.normal(10, 1, shape).astype(np.float32)
    for _ in range(20):
        row = rng.integers(0, shape[0] - 4)
        column = rng.integers(0, shape[1] - 4)
        values[row : row + 3, column : column + 3, :3] += 20
    return values


def fitted(cube: np.ndarray) -> Pipeline:
    """A detector with decisions."""
    pipeline = Pipeline("serving")
    data = pipeline.add("data", AnomalyDataNode([0]))
    rx = pipeline.add("rx", RXGlobal())
    logits = pipeline.add("logits", ScoreToLogit())
    decider = pipeline.add("decider", BinaryDecider(threshold=0.99))
    pipeline.chain("data.cube", rx, logits, decider)
    pipeline.connect(data.valid, rx.valid, logits.valid, decider.valid)
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    return pipeline.fit(cube)


def write_envi(folder: Path, cube: np.ndarray) -> Path:
    """An ENVI pair, interleaved by pixel."""
    height, width, bands = cube.shape
    header = folder / "scene.hdr"
    header.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\n"
        "data type = 4\ninterleave = bip\nbyte order = 0\n"
    )
    cube.tofile(folder / "scene.img")
    return header


@contextmanager
def served(predictor: Predictor, root: Path) -> Iterator[tuple[int, int]]:
    """A server in threads of this process: its ports of HTTP and gRPC."""
    engine = Engine(predictor)
    service = Service(engine, Limits(), root, Metrics())
    binding = Binding("127.0.0.1", 0)
    companion = GrpcServer(service, binding.at(0))
    server = http_server(service, binding, companion)
    listening = binding.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not engine.is_ready:
            time.sleep(0.01)
        yield listening.getsockname()[1], companion.port
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class Caller:
    """One connection of each protocol.

    Args:
        http_port: The port of HTTP.
        grpc_port: The port of gRPC.
    """

    def __init__(self, http_port: int, grpc_port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", http_port)
        self._used = time.monotonic()
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        self._stub = SpecloomStub(grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options))
        #: Clients of ``specloom_serve``, by protocol.
        self.clients = {
            "HTTP": Client(f"http://127.0.0.1:{http_port}"),
            "gRPC": Client(f"grpc://127.0.0.1:{grpc_port}"),
        }

    def http(self, wanted: str, body: bytes, media_type: str) -> Callable[[], bytes]:
        """A request over HTTP."""

        def call() -> bytes:
            if time.monotonic() - self._used > IDLE_SECONDS:
                self._http.close()  # the next request opens it again
            headers = {"Content-Type": media_type}
            self._http.request("POST", f"/predict?format={wanted}", body, headers)
            answer = self._http.getresponse()
            found = answer.read()
            self._used = time.monotonic()
            if answer.status != 200:
                raise RuntimeError(found.decode())
            return found

        return call

    def grpc(self, request: pb.PredictRequest) -> Callable[[], Any]:
        """A call over gRPC."""
        return lambda: self._stub.Predict(request)


def npy(cube: np.ndarray) -> bytes:
    """An array as NPY."""
    file = io.BytesIO()
    np.save(file, cube)
    return file.getvalue()


def calls_of(
    predictor: TimedPredictor, caller: Caller, cube: Any, body: bytes, media_type: str, source: Any
) -> tuple[Calls, Calls]:
    """What is timed of one cube, without a server and with one.

    Args:
        predictor: The bare pipeline.
        caller: The client.
        cube: The cube for the bare pipeline: an array or a file.
        body: The body for HTTP.
        media_type: Its type.
        source: The cube for gRPC, as the fields of a request.
    """
    numbers = pb.PredictRequest(**source, without_outputs=True)
    scores = pb.PredictRequest(**source, outputs=["scores"])
    sent = cube.name if isinstance(cube, Path) else cube
    bare = {
        SCORES: lambda: predictor.predict(cube),
        NUMBERS: lambda: predictor.predict(cube),
    }
    over = {
        "scores over HTTP": caller.http("npy", body, media_type),
        "numbers over HTTP": caller.http("json", body, media_type),
        "Client over HTTP": lambda: caller.clients["HTTP"].predict(sent),
        "scores and numbers over gRPC": caller.grpc(scores),
        "numbers over gRPC": caller.grpc(numbers),
        "Client over gRPC": lambda: caller.clients["gRPC"].predict(sent),
    }
    return bare, over


@dataclass(frozen=True)
class Turn:
    """What was measured of one call, in seconds.

    Args:
        total: All of it.
        pipeline: The time of the pipeline within.
        client: The CPU time of the client's thread within; 0 where there is none.
    """

    total: float
    pipeline: float
    client: float = 0.0

    @property
    def server(self) -> float:
        """The time that is neither the pipeline's nor the client's."""
        return self.total - self.pipeline - self.client


@dataclass(frozen=True)
class Row:
    """What was measured of one call in all turns, in seconds.

    Args:
        name: The call.
        total: All of it.
        added: What it takes more than the bare pipeline; None for the bare pipeline.
        pipeline: The time of the pipeline within.
        server: That of the server.
        client: That of the client.
    """

    name: str
    total: float
    added: float | None = None
    pipeline: float = 0.0
    server: float = 0.0
    client: float = 0.0


def base_of(name: str) -> str:
    """What of the bare pipeline a call is compared with."""
    if name.startswith("scores over"):
        return SCORES
    return NUMBERS


def run_turn(
    call: Callable[[], Any], predictor: TimedPredictor, clock: Callable[[], float]
) -> Turn:
    """Call once, and measure."""
    thread_started = time.thread_time()
    started = clock()
    call()
    total = clock() - started
    return Turn(total, predictor.seconds, time.thread_time() - thread_started)


def measure(
    calls: tuple[Calls, Calls],
    predictor: TimedPredictor,
    repeats: int,
    clock: Callable[[], float],
    take: str,
) -> list[Row]:
    """The times of each call, which take turns; a first turn is not counted.

    Args:
        calls: What is timed, without a server and with one.
        predictor: The pipeline of both.
        repeats: How many turns count.
        clock: What measures.
        take: Which of the turns' times is taken: ``median`` or ``least``.
    """
    bare, over = calls
    turns: dict[str, list[Turn]] = {name: [] for name in [*bare, *over]}
    for number in range(repeats + 1):
        for name, call in [*bare.items(), *over.items()]:
            predictor.has_numbers = SCORES not in (name, base_of(name))
            turn = run_turn(call, predictor, clock)
            if number:
                turns[name].append(turn)
    statistic = statistics.median if take == "median" else min
    rows = []
    for name, found in turns.items():
        total = statistic([turn.total for turn in found])
        if name in bare:
            rows.append(Row(name, total))
            continue
        base = turns[base_of(name)]
        added = total - statistic([turn.total for turn in base])
        if take == "median":
            pairs = zip(found, base, strict=True)
            added = statistics.median(one.total - other.total for one, other in pairs)
        pipeline = statistic([turn.pipeline for turn in found])
        server = statistic([turn.server for turn in found])
        client = statistic([turn.client for turn in found])
        rows.append(Row(name, total, added, pipeline, server, client))
    return rows


def show(title: str, rows: list[Row]) -> None:
    """Print a table, in ms."""
    totals = {row.name: row.total for row in rows}
    heads = ("total", "added", "added", "pipeline", "server", "client")
    print(f"\n{title:<35}" + "".join(f"{head:>10}" for head in heads))
    for row in rows:
        if row.added is None:
            print(f"  {row.name:<33}{1000 * row.total:10.2f}")
            continue
        share = 100 * row.added / totals[base_of(row.name)]
        parts = [row.total, row.added]
        texts = [f"{1000 * part:10.2f}" for part in parts]
        texts.append(f"{share:+8.1f} %")
        texts += [f"{1000 * part:10.2f}" for part in (row.pipeline, row.server, row.client)]
        print(f"  {row.name:<33}{''.join(texts)}")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu")
    parser.add_argument("--take", choices=TAKES, default="median")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    reuse_memory()
    logging.disable(logging.INFO)
    large, small = (scene(shape) for shape in SIZES[options.size])
    predictor = TimedPredictor(fitted(small), clock)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        file = write_envi(Path(folder), large)
        shape = " x ".join(map(str, large.shape))
        del large
        with served(predictor, Path(folder)) as ports:
            caller = Caller(*ports)
            path = json.dumps({"path": file.name}).encode()
            by_path = {"file": pb.File(path=file.name)}
            of_path = calls_of(predictor, caller, file, path, "application/json", by_path)
            tables[f"{shape} by path"] = measure(
                of_path, predictor, options.repeats, clock, options.take
            )
            by_body = {"array": array_message(small)}
            of_body = calls_of(predictor, caller, small, npy(small), "application/x-npy", by_body)
            title = f"{' x '.join(map(str, small.shape))} in the body"
            tables[title] = measure(of_body, predictor, 4 * options.repeats, clock, options.take)
    if options.json:
        print(json.dumps({title: [vars(row) for row in rows] for title, rows in tables.items()}))
        return 0
    for title, rows in tables.items():
        show(title, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
