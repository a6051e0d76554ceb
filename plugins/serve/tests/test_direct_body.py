"""Bodies that are received into the array: in pieces, cut short, late, or without a length."""

import asyncio
import io
import socket
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom_serve import Client
from specloom_serve.command import Binding, reuse_memory
from specloom_serve.direct_body import READ_BYTES
from specloom_serve.guarded import GuardedProtocol
from specloom_serve.npy_body import npy_bytes

sys.path.append(str(Path(__file__).parent))
toys = import_module("serve_toys")
BANDS = toys.BANDS
scene = toys.scene
folder = toys.folder
predictor = toys.predictor
HEAD = (
    b"POST /predict?format=npy HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-npy\r\n"
)


def cube():
    """A cube that is not received with the headers."""
    values = scene(200, 150)
    assert values.nbytes > 5 * READ_BYTES
    return values


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def request_of(body):
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answer_on(file):
    """The status and the body of the next answer of a connection."""
    status = int(file.readline().split()[1])
    size = 0
    line = file.readline()
    while line not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
        line = file.readline()
    return status, file.read(size)


@contextmanager
def connected(address):
    place = ("127.0.0.1", int(address.rpartition(":")[2]))
    with (
        socket.create_connection(place, timeout=20) as connection,
        connection.makefile("rb") as file,
    ):
        yield connection, file


@pytest.fixture
def expected(predictor):
    return npy(np.asarray(predictor.predict(cube()).scores))


@pytest.fixture
def counted():
    """A protocol, and how many bytes each call of ``receive_into`` received."""
    counts = []

    class Counting(GuardedProtocol):
        async def receive_into(self, buffer):
            count = await super().receive_into(buffer)
            counts.append(count)
            return count

    return Counting, counts


def test_a_body_in_pieces_fills_the_array(folder, expected, counted):
    protocol, counts = counted
    message = request_of(npy(cube()))
    start = message.index(b"\x93NUMPY")
    cuts = (start - 1, start, start + 3, start + 128, start + 130, start + 70_001, len(message) - 1)
    with (
        toys.served(folder, Binding("127.0.0.1", 0), protocol) as (address, _),
        connected(address) as (connection, file),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first, last in zip((0, *cuts), (*cuts, len(message)), strict=True):
            connection.sendall(message[first:last])
            threading.Event().wait(0.02)
        assert answer_on(file) == (200, expected)
        assert counts[0] > cube().nbytes - 3 * READ_BYTES
        connection.sendall(2 * message)  # the second request arrives within the first one
        assert answer_on(file) == (200, expected)
        assert answer_on(file) == (200, expected)
        assert len(counts) == 3
        assert min(counts) > cube().nbytes - 3 * READ_BYTES


def test_a_body_without_length_is_received_in_chunks(folder, expected, counted):
    protocol, counts = counted
    body = npy(cube())
    chunks = [body[first : first + 50_000] for first in range(0, len(body), 50_000)]
    message = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for chunk in [*chunks, b""]:
        message += b"%x\r\n%b\r\n" % (len(chunk), chunk)
    with (
        toys.served(folder, Binding("127.0.0.1", 0), protocol) as (address, _),
        connected(address) as (connection, file),
    ):
        connection.sendall(message)
        assert answer_on(file) == (200, expected)
        assert 0 <= counts[0] < cube().nbytes


def test_another_version_of_h11_is_served_in_chunks(folder, expected, monkeypatch):
    monkeypatch.setattr(GuardedProtocol, "_expected", lambda self: 0)
    with (
        toys.served(folder, Binding("127.0.0.1", 0)) as (address, _),
        connected(address) as (connection, file),
    ):
        connection.sendall(request_of(npy(cube())))
        assert answer_on(file) == (200, expected)


def test_a_client_that_waits_for_100_gets_it(folder, expected):
    message = request_of(npy(cube())).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n", 1)
    start = message.index(b"\x93NUMPY")
    with (
        toys.served(folder, Binding("127.0.0.1", 0)) as (address, _),
        connected(address) as (connection, file),
    ):
        connection.sendall(message[:start])
        assert answer_on(file) == (100, b"")
        connection.sendall(message[start:])
        assert answer_on(file) == (200, expected)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_body_that_stops_is_given_up(folder, expected, counted, is_closed):
    protocol, counts = counted
    message = request_of(npy(cube()))
    with toys.served(folder, Binding("127.0.0.1", 0), protocol, body_seconds=0.5) as (address, _):
        with connected(address) as (connection, file):
            connection.sendall(message[:-100])
            if not is_closed:
                status, body = answer_on(file)
                assert status == 408
                assert b"the body did not arrive within 0.5 s" in body
        with Client(address) as client:
            assert npy(client.predict(cube())["scores"]) == expected
    if is_closed:
        assert cube().nbytes - 2 * READ_BYTES < counts[0] < cube().nbytes


def test_bytes_beyond_a_buffer_stay_for_the_application():
    sizes = (0, 5, 100_000)
    body = np.random.default_rng(2).bytes(300_000)

    class Application:
        """Receives into buffers of the sizes, and the rest as messages."""

        async def __call__(self, scope, receive, send):
            first = await receive()
            received = first["body"]
            for size in sizes:
                buffer = bytearray(size)
                receive_into = scope["state"]["specloom.receive_into"]
                assert await receive_into(memoryview(buffer)) == size
                received += buffer
            more = True
            while more:
                message = await receive()
                received += message["body"]
                more = message["more_body"]
            assert await receive_into(memoryview(bytearray(1))) == 0
            status = 200 if received == body else 500
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    assert asyncio.run(status_of(Application(), request_of(body))) == b"HTTP/1.1 200"


async def status_of(application, message):
    """The start of what a server of an application answers to a message."""
    import uvicorn

    config = uvicorn.Config(application, port=0, http=GuardedProtocol, log_config=None)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    listening = Binding("127.0.0.1", 0).listen()
    running = asyncio.create_task(server.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(message)
    start = await reader.readexactly(12)
    writer.close()
    server.should_exit = True
    await running
    return start


def test_memory_is_used_again():
    """glibc accepts every option."""
    assert reuse_memory() == (sys.platform == "linux")


@pytest.mark.parametrize("dtype", ["float32", "uint16", "bool", ">f4", "S3", "int64"])
def test_bytes_of_npy_are_those_of_numpy(dtype):
    for values in (np.ones((2, 3, 4)), np.ones((4, 3, 2)).T, np.ones((0, 2)), np.array(3)):
        array = values.astype(dtype)
        assert npy_bytes(array) == npy(array)


def test_objects_are_not_written():
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npy_bytes(np.array([None]))
