"""Servers under load: many requests, fuzzed bodies, clients that go away, a process that is killed.

Each runs with few requests in this process, and as a soak with as many as its name says, in a
process of its own.
"""

import http.client
import io
import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from specloom import Pipeline
from specloom_predict import Predictor
from specloom_rx import RXGlobal
from specloom_serve import AnswerError, Client, Engine, Limits
from specloom_serve.command import Binding, http_server
from specloom_serve.grpc_server import GrpcServer
from specloom_serve.messages import array_message
from specloom_serve.metrics import Metrics
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.service import Service

BANDS = 8
SIZES = ((10, 12), (31, 7), (64, 64), (1, 1), (120, 100), (50, 90), (200, 150))
REFUSED = {400, 403, 404, 413, 415, 422}
CODES = {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND", "PERMISSION_DENIED"}
NPY = {"Content-Type": "application/x-npy"}


def soak(*values):
    """Parameters of a test of which the last one runs only as a soak."""
    *few, many = values
    return pytest.mark.parametrize("count", [*few, pytest.param(many, marks=SOAK)])


SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


def cubes():
    """A cube of each size, one of them with pixels of NaN."""
    rng = np.random.default_rng(3)
    found = [rng.normal(10, 1, (*size, BANDS)).astype(np.float32) for size in SIZES]
    found[1][:2] = np.nan
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pipeline = Pipeline("rx")
    rx = pipeline.add("rx", RXGlobal())
    pipeline.connect("batch.cube", rx.data)
    pipeline.outputs = {"scores": rx.scores}
    found = tmp_path_factory.mktemp("run")
    pipeline.fit(cubes()[-1]).save_to_file(found / "pipeline.yaml")
    return found


@pytest.fixture(scope="module")
def expected(folder):
    """The bytes of the scores of each cube."""
    predictor = Predictor(folder, device="cpu")
    return [predictor.predict(cube).scores.tobytes() for cube in cubes()]


class Server:
    """Where a server listens, and its process where it has one of its own.

    Args:
        http: The address of HTTP.
        grpc: The address of gRPC.
        process: The process; None for this one.
    """

    def __init__(self, http, grpc, process=None):
        self.http = http
        self.grpc = grpc
        self.process = process

    @property
    def port(self):
        return int(self.http.rpartition(":")[2])

    def anonymous_bytes(self):
        """The memory of the process that is not of files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])

    def call(self):
        """A call of gRPC that takes and returns bytes, with its channel."""
        channel = grpc.insecure_channel(self.grpc.removeprefix("grpc://"))
        return channel.unary_unary(f"/{pb.DESCRIPTOR.package}.Specloom/Predict"), channel


@contextmanager
def in_thread(folder, port=0, queue=4):
    """A server in threads of this process."""
    engine = Engine(Predictor(folder, device="cpu"), waiting=queue)
    service = Service(engine, Limits(requests=2 * queue), folder, Metrics())
    binding = Binding("127.0.0.1", port)
    companion = GrpcServer(service, binding.at(0))
    server = http_server(service, binding, companion)
    listening = binding.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield Server(binding.address(listening), binding.grpc_address(companion.port))
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
    assert not thread.is_alive()
    assert service.active == 0


@contextmanager
def in_process(folder, log, port=0, queue=4):
    """A server as the command starts it."""
    arguments = ["serve", folder, "--port", port, "--grpc-port", 0, "--queue", queue]
    options = ["--max-requests", 2 * queue, "--root", folder, "--device", "cpu", "--quiet"]
    program = [sys.executable, "-m", "specloom", *map(str, [*arguments, *options])]
    with log.open("w") as opened:
        process = subprocess.Popen(program, stderr=opened)
    try:
        found = None
        while found is None and process.poll() is None:
            time.sleep(0.1)
            found = re.search(r"serving on (\S+) and (\S+); Ctrl-C", log.read_text())
        assert found is not None, log.read_text()
        yield Server(found[1], found[2], process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def server_of(folder, tmp_path, count, few, **options):
    """A server in this process for few requests, and in one of its own for many."""
    if count <= few:
        with in_thread(folder, **options) as server:
            yield server
        return
    with in_process(folder, tmp_path / "log", **options) as server:
        yield server
        # uvicorn names requests that are no HTTP; everything else is an error of the server.
        lines = (tmp_path / "log").read_text().splitlines()[1:]
        assert [line for line in lines if "Invalid HTTP request" not in line] == []


@soak(28, 10_000)
def test_requests_of_mixed_sizes_from_four_clients(folder, expected, tmp_path, count, capsys):
    sent = cubes()
    seconds = []
    memory = []

    def call(number, server):
        address = server.http if number % 2 else server.grpc
        rng = np.random.default_rng(number)
        answered = 0
        with Client(address) as client:
            for _ in range(count // 4):
                which = rng.integers(0, len(sent))
                started = time.perf_counter()
                answer = client.predict(sent[which])
                seconds.append(time.perf_counter() - started)
                assert answer["scores"].tobytes() == expected[which]
                answered += 1
                if number == 0 and server.process is not None and answered % 25 == 0:
                    memory.append(server.anonymous_bytes())
        return answered

    with server_of(folder, tmp_path, count, 28) as server, ThreadPoolExecutor(4) as pool:
        answered = list(pool.map(call, range(4), [server] * 4))
    assert sum(answered) == count
    bare = []
    predictor = Predictor(folder, device="cpu")
    for number in range(min(count, 1000)):
        started = time.perf_counter()
        predictor.predict(sent[number % len(sent)])
        bare.append(time.perf_counter() - started)
    if count > 28:
        level, growth = memory_levels(memory)
        with capsys.disabled():
            print(f"\n{count} requests, ms: {_times(seconds)}; bare pipeline: {_times(bare)}")
            print(f"anonymous memory: {level / 1e6:.1f} MB, later at most {100 * growth:+.1f} %")
        assert growth < 0.05


def memory_levels(samples):
    """The memory after warming up, and how much the level grows later.

    A sample has what requests in progress hold; the level is the median of a tenth of the samples.
    """
    tenths = [float(np.median(part)) for part in np.array_split(samples, 10)]
    return tenths[1], max(tenths[1:]) / tenths[1] - 1


def _times(seconds):
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {1000 * cuts[49]:.1f}, p99 {1000 * cuts[98]:.1f}"


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, descr):
    """The start of an NPY file with any shape and type."""
    file = io.BytesIO()
    described = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def mutated(rng, body, most=4):
    """A body with a few bytes changed near its start, sometimes cut or with more at its end."""
    changed = np.frombuffer(body, np.uint8).copy()
    if changed.size:
        places = rng.integers(0, min(changed.size, 200), rng.integers(1, most + 1))
        changed[places] = rng.integers(0, 256, places.size)
    kind = rng.integers(0, 4)
    if kind == 0:
        return changed[: rng.integers(0, changed.size + 1)].tobytes()
    if kind == 1:
        return changed.tobytes() + rng.bytes(rng.integers(1, 50))
    return changed.tobytes()


DTYPES = ("<f4", ">f4", "|O", "<c8", "|S5", "<U3", "|b1", "<M8[s]", "<f8", "|u1", "|V7", "<f2")
SHAPES = ((2, 2, BANDS), (2, 2), (), (0, 1, 2), (10**9, 10**9, 9), (2, 2, 3), (-1, 2, 8), (1,) * 40)
TEXTS = ('{"path": "none.npy"}', '{"path": "../x"}', "{}", "[" * 99, '{"path": 1e999}', "null")
FORM_START = b'--b\r\nContent-Disposition: form-data; name="cube"\r\n\r\n'
FORM_END = b"\r\n--b--\r\n"


def fuzzed(rng, good):
    """A body and its type."""
    kind = rng.integers(0, 6)
    if kind == 0:
        return mutated(rng, good), "application/x-npy"
    if kind == 1:
        shape = SHAPES[rng.integers(0, len(SHAPES))]
        descr = DTYPES[rng.integers(0, len(DTYPES))]
        return header(shape, descr) + rng.bytes(rng.integers(0, 200)), "application/x-npy"
    if kind == 2:
        return rng.bytes(rng.integers(0, 300)), "application/octet-stream"
    if kind == 3:
        text = TEXTS[rng.integers(0, len(TEXTS))].encode()
        return text if rng.integers(0, 2) else mutated(rng, text), "application/json"
    form = FORM_START + good + FORM_END
    if kind == 4:
        return mutated(rng, form, 2), "multipart/form-data; boundary=b"
    return mutated(rng, good), ("text/plain", "", "a/b; c=d", "multipart/form-data")[
        rng.integers(0, 4)
    ]


@soak(300, 100_000)
def test_fuzzed_bodies_over_http(folder, expected, tmp_path, count, capsys):
    rng = np.random.default_rng(11)
    sent = cubes()
    good = npy(sent[3])
    counts = {}
    with server_of(folder, tmp_path, count, 300) as server, Client(server.http) as client:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for number in range(count):
            body, media_type = fuzzed(rng, good)
            connection.request("POST", "/predict", body, {"Content-Type": media_type})
            answer = connection.getresponse()
            text = answer.read()
            counts[answer.status] = counts.get(answer.status, 0) + 1
            assert answer.status in REFUSED | {200}, (body, media_type, text)
            if answer.status != 200:
                error = json.loads(text)["error"]
                assert error["what"]
                assert error["fix"]
            if number % 100 == 0:
                assert client.predict(sent[0])["scores"].tobytes() == expected[0]
        connection.close()
    if count > 300:
        with capsys.disabled():
            print(f"\n{count} bodies over HTTP: {dict(sorted(counts.items()))}")


def outcome(call, body):
    """The status of a call, and what it says of an error."""
    try:
        call(body, timeout=60)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


@soak(200, 100_000)
def test_fuzzed_messages_over_grpc(folder, expected, tmp_path, count, capsys):
    rng = np.random.default_rng(12)
    sent = cubes()
    valid = pb.Array(shape=[1, 1], dtype="bool", data=b"\1")
    requests = [
        pb.PredictRequest(array=array_message(sent[3]), valid=valid),
        pb.PredictRequest(file=pb.File(path="none.npy", variable="x")),
        pb.PredictRequest(envi=pb.EnviPair(header=b"ENVI\nlines = 1", data=b"1")),
        pb.PredictRequest(),
    ]
    good = [request.SerializeToString() for request in requests]
    counts = {}
    with server_of(folder, tmp_path, count, 200) as server, Client(server.grpc) as client:
        call, channel = server.call()
        for number in range(count):
            body = mutated(rng, good[rng.integers(0, len(good))])
            if number % 7 == 0:
                body = rng.bytes(rng.integers(0, 300))
            code, details = outcome(call, body)
            assert code in CODES | {"OK"}, (body, details)
            assert code == "OK" or details
            counts[code] = counts.get(code, 0) + 1
            if number % 100 == 0:
                assert client.predict(sent[0])["scores"].tobytes() == expected[0]
        channel.close()
    if count > 200:
        with capsys.disabled():
            print(f"\n{count} messages over gRPC: {dict(sorted(counts.items()))}")


def leave_early(server, rng):
    """Begin a request, and go away in the middle."""
    if rng.integers(0, 2):
        call, channel = server.call()
        waiting = call.future(
            pb.PredictRequest(array=array_message(cubes()[-1])).SerializeToString(), timeout=60
        )
        time.sleep(rng.uniform(0, 0.01))
        waiting.cancel()
        channel.close()
        return
    body = npy(cubes()[-1])
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-npy\r\n"
    message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(message[: rng.integers(0, len(message) + 1)])


@soak(20, 2000)
def test_clients_that_go_away_in_the_middle(folder, expected, tmp_path, count):
    rng = np.random.default_rng(13)
    sent = cubes()
    with server_of(folder, tmp_path, count, 20) as server:
        for number in range(count):
            leave_early(server, rng)
            if number % 10 == 0:
                assert patiently(server.http, sent[0])["scores"].tobytes() == expected[0]
        deadline = time.monotonic() + 20
        while "specloom_active 0" not in metrics(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "specloom_active 0" in metrics(server)
        assert patiently(server.grpc, sent[0])["scores"].tobytes() == expected[0]


def metrics(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def patiently(address, cube):
    """The answer, when there is a place."""
    with Client(address) as client:
        for _ in range(200):
            with suppress(AnswerError):
                return client.predict(cube)
            time.sleep(0.02)
    raise AssertionError("there was no place")


@soak(32, 4000)
def test_a_queue_that_is_full(folder, expected, tmp_path, count, capsys):
    sent = cubes()
    counts = {}

    def call(number):
        address = server.http if number % 2 else server.grpc
        status = 200
        with Client(address) as client:
            try:
                assert client.predict(sent[0])["scores"].tobytes() == expected[0]
            except AnswerError as error:
                status = error.status
        counts[status] = counts.get(status, 0) + 1

    with server_of(folder, tmp_path, count, 32, queue=1) as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(call, range(count)))
        assert patiently(server.http, sent[0])["scores"].tobytes() == expected[0]
    assert sum(counts.values()) == count
    assert counts.keys() <= {200, 503}
    assert counts[200] > 0
    if count > 32:
        with capsys.disabled():
            print(f"\n{count} requests of 16 clients, one of which may wait: {counts}")


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_server_that_was_killed_starts_again(folder, expected, tmp_path):
    port = 0
    for number in range(5):
        with in_process(folder, tmp_path / f"log{number}", port) as server:
            port = server.port
            with Client(server.http) as client, Client(server.grpc) as other:
                assert client.predict(cubes()[0])["scores"].tobytes() == expected[0]
                assert other.predict(cubes()[0])["scores"].tobytes() == expected[0]
                with ThreadPoolExecutor(4) as pool:
                    waiting = [pool.submit(one.predict, cubes()[-1]) for one in (client, other) * 2]
                    server.process.kill()
                    for future in waiting:
                        error = future.exception(60)
                        assert error is None or error.status == 0
    with in_thread(folder, port) as server, Client(server.http) as client:
        assert client.predict(cubes()[0])["scores"].tobytes() == expected[0]
