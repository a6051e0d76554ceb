"""What a server adds to the time of ``Predictor.predict``, over HTTP and gRPC.

    python benchmarks/serving.py --repeats 15

One process holds the pipeline (RX, logits, decisions), the server and the client, which take turns
on the same cubes: 1080 x 1000 x 61 by a path to ENVI, and 100 x 100 x 61 in the body. Printed are
medians of CPU seconds of the process, client included, which hold up where something else runs on
the machine; with ``--clock wall`` of seconds that pass. What is added is the median of the
differences within turns; ``client`` is the CPU time of the client within. ``numbers`` are verdict,
measures and objects, which are measured on decisions; the bare pipeline's line for them has the
same. ``scores`` are the map.
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
from specloom_predict import Predictor
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_serve import Engine, Limits
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

CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}

Calls = Mapping[str, Callable[[], Any]]


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
    predictor: Predictor, caller: Caller, cube: Any, body: bytes, media_type: str, source: Any
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

    def with_numbers() -> Any:
        found = predictor.predict(cube)
        return found.verdict, found.objects

    numbers = pb.PredictRequest(**source, without_outputs=True)
    scores = pb.PredictRequest(**source, outputs=["scores"])
    bare = {"scores": lambda: predictor.predict(cube).scores, "numbers": with_numbers}
    over = {
        "scores over HTTP": caller.http("npy", body, media_type),
        "numbers over HTTP": caller.http("json", body, media_type),
        "scores and numbers over gRPC": caller.grpc(scores),
        "numbers over gRPC": caller.grpc(numbers),
    }
    return bare, over


@dataclass(frozen=True)
class Row:
    """What was measured of one call, in seconds.

    Args:
        name: The call.
        median: The median of its times.
        added: What it takes more than the bare pipeline; None for the bare pipeline.
        client: The CPU time of the client's thread within.
    """

    name: str
    median: float
    added: float | None = None
    client: float = 0.0


def base_of(name: str) -> str:
    """What of the bare pipeline a call is compared with."""
    if name.startswith("scores over"):
        return "scores"
    return "numbers"


def measure(bare: Calls, over: Calls, repeats: int, clock: Callable[[], float]) -> list[Row]:
    """The times of each call, which take turns; a first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in [*bare, *over]}
    client: dict[str, list[float]] = {name: [] for name in over}
    for turn in range(repeats + 1):
        for name, call in [*bare.items(), *over.items()]:
            thread_started = time.thread_time()
            started = clock()
            call()
            ended = clock()
            if turn:
                seconds[name].append(ended - started)
            if turn and name in over:
                client[name].append(time.thread_time() - thread_started)
    rows = [Row(name, statistics.median(seconds[name])) for name in bare]
    for name in over:
        pairs = zip(seconds[name], seconds[base_of(name)], strict=True)
        added = statistics.median(one - other for one, other in pairs)
        median = statistics.median(seconds[name])
        rows.append(Row(name, median, added, statistics.median(client[name])))
    return rows


def show(title: str, rows: list[Row]) -> None:
    """Print a table."""
    medians = {row.name: row.median for row in rows}
    print(f"\n{title:<45} {'total':>9}      {'added':>8}                {'client':>6}")
    for row in rows:
        if row.added is None:
            print(f"  bare pipeline, {row.name:<28} {1000 * row.median:9.2f} ms")
            continue
        share = 100 * row.added / medians[base_of(row.name)]
        times = f"{1000 * row.median:9.2f} ms  {1000 * row.added:+8.2f} ms  {share:+6.1f} %"
        print(f"  {row.name:<43} {times}  {1000 * row.client:6.2f} ms")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    reuse_memory()
    logging.disable(logging.INFO)
    large, small = (scene(shape) for shape in SIZES[options.size])
    predictor = Predictor(fitted(small), device="cpu")
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
            tables[f"{shape} by path"] = measure(*of_path, options.repeats, clock)
            by_body = {"array": array_message(small)}
            of_body = calls_of(predictor, caller, small, npy(small), "application/x-npy", by_body)
            title = f"{' x '.join(map(str, small.shape))} in the body"
            tables[title] = measure(*of_body, 4 * options.repeats, clock)
    if options.json:
        print(json.dumps({title: [vars(row) for row in rows] for title, rows in tables.items()}))
        return 0
    for title, rows in tables.items():
        show(title, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
