"""The client of HTTP: connections that are used again, servers that fail, and answers as views."""

import io
import json
import re
import socket
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from specloom import ConfigError
from specloom_serve import AnswerError, Client
from specloom_serve.connections import Connections
from specloom_serve.npy_body import npy_array, npy_bytes
from specloom_serve.zipped import ALIGNMENT, unzip, zip_bytes

PATIENCE = 20


class Server(ThreadingHTTPServer):
    """A server whose clients may go away."""

    def handle_error(self, request, client_address):
        """Log nothing."""


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server has been set to, and notes what it received."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append((self.client_address[1], self.path, self.headers, body))
        status, answer, closes = self.server.answer
        time.sleep(self.server.pause)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer) + self.server.missing))
        if closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = closes

    def log_message(self, *arguments):
        """Log nothing."""


@contextmanager
def serving(host="127.0.0.1"):
    """A server of HTTP in threads, and its address."""
    server = Server((host, 0), Handler, bind_and_activate=False)
    if ":" in host:
        server.address_family = socket.AF_INET6
        server.socket.close()
        server.socket = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.server_bind()
    server.server_activate()
    server.answer = (200, b'{"name": "mine"}', False)
    server.pause = 0
    server.missing = 0
    server.received = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    name = f"[{host}]" if ":" in host else host
    try:
        yield server, f"http://{name}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ports(server):
    """From which port each request came."""
    return [port for port, *_ in server.received]


def test_a_connection_is_used_again():
    with serving() as (server, address), Client(address) as client:
        for _ in range(5):
            assert client.pipeline() == {"name": "mine"}
        assert len(set(ports(server))) == 1
        server.answer = (200, b"{}", True)
        client.pipeline()
        client.pipeline()
        assert len(set(ports(server))) == 2


def test_threads_have_connections_of_their_own():
    with serving() as (server, address), Client(address) as client, ThreadPoolExecutor(4) as pool:
        server.pause = 0.05
        found = list(pool.map(lambda _: client.pipeline(), range(16)))
        assert found == [{"name": "mine"}] * 16
        assert 1 < len(set(ports(server))) <= 4


def test_a_connection_that_the_server_closed_is_replaced(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def answer_once():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        with Client(address, timeout=PATIENCE) as client, ThreadPoolExecutor(1) as pool:
            for _ in range(2):
                answered = pool.submit(answer_once)
                assert client.pipeline() == {}
                answered.result(PATIENCE)
    with serving() as (server, address), Client(address) as client:
        client.pipeline()
        monkeypatch.setattr("specloom_serve.connections.IDLE_SECONDS", 0)
        client.pipeline()
        assert len(set(ports(server))) == 2


def test_an_answer_that_is_late_or_cut_short():
    with serving() as (server, address):
        server.pause = 1
        with Client(address, timeout=0.1) as client, pytest.raises(AnswerError) as caught:
            client.pipeline()
        assert caught.value.status == 0
        assert str(caught.value) == (
            f"{address} did not answer within 0.1 s\n"
            "  fix: try again later, or with a longer timeout"
        )
        server.pause = 0
        server.missing = 10
        server.answer = (200, b"{}", True)
        with Client(address) as client, pytest.raises(AnswerError) as caught:
            client.pipeline()
        assert caught.value.what == (
            f"{address} does not answer: IncompleteRead(0 bytes read, 10 more expected)"
        )


def test_a_refusal_before_the_body_is_sent():
    refusal = json.dumps({"error": {"what": "too large", "where": "", "fix": "send less"}}).encode()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def refuse():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                head = b"HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(refusal) + refusal)
                connection.shutdown(socket.SHUT_WR)
                time.sleep(0.2)

        with Client(address, timeout=PATIENCE) as client, ThreadPoolExecutor(1) as pool:
            answered = pool.submit(refuse)
            with pytest.raises(AnswerError) as caught:
                client.describe(np.zeros((2000, 1000, 10), np.float32))
            answered.result(PATIENCE)
    assert (caught.value.status, caught.value.fix) == (413, "send less")
    assert caught.value.what == "the server answers 413: too large"


@pytest.mark.parametrize("answer", [b"<html>", b"PK\x05\x06", b"", b"\xff\xfe[" * 9])
def test_an_answer_of_another_server(answer):
    with serving() as (server, address), Client(address) as client:
        server.answer = (200, answer, False)
        for call in (client.pipeline, lambda: client.predict("a.npy")):
            with pytest.raises(AnswerError) as caught:
                call()
            assert str(caught.value) == (
                f"{address} answers something else than specloom serve\n  fix: check the address"
            )


def test_an_answer_that_is_no_http():
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def greet():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x00\x01\x02 no HTTP\r\n\r\n")

        # What is not read before a connection is closed resets it.
        closed = "Remote end closed connection|.*reset by peer"
        for serve, reason in (
            (greet, "what it sends is no HTTP/1.1"),
            (lambda: listening.accept()[0].close(), closed),
        ):
            answered = pool.submit(serve)
            with Client(address, timeout=PATIENCE) as client, pytest.raises(AnswerError) as caught:
                client.pipeline()
            answered.result(PATIENCE)
            assert re.match(f"{address} does not answer: ({reason})", caught.value.what)


def test_what_is_sent():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with serving() as (server, address), Client(f"{address}/below/", "a-token") as client:
        client.describe(values, wavelengths=[1, 2, 3, 4.5])
        client.describe("day/scene.npy", variable="cube")
        client.describe(values, valid=np.ones((2, 3), bool))
        received = [(path, headers, body) for _, path, headers, body in server.received]
    assert [path for path, *_ in received] == [
        "/below/predict?format=json&wavelengths=1.0%2C2.0%2C3.0%2C4.5",
        "/below/predict?format=json",
        "/below/predict?format=json",
    ]
    for _, headers, _ in received:
        assert headers["Authorization"] == "Bearer a-token"
        assert headers["Host"] == address.removeprefix("http://")
    assert received[0][1]["Content-Type"] == "application/x-npy"
    assert received[0][2] == npy_bytes(values)
    assert json.loads(received[1][2]) == {"path": "day/scene.npy", "variable": "cube"}
    assert received[2][1]["Content-Type"].startswith("multipart/form-data; boundary=")
    assert npy_bytes(values) in received[2][2]


def test_names_passwords_and_hosts():
    with serving("::1") as (server, address):
        named = address.replace("http://", "http://me:a%20secret@")
        with Client(named) as client:
            assert client.is_ready()
        assert server.received[0][2]["Authorization"] == "Basic bWU6YSBzZWNyZXQ="
    for address in ("http://:80", "http://host:port", "https://[::1", "http://host:99999"):
        with pytest.raises(ConfigError) as caught:
            Client(address)
        assert str(caught.value) == (
            f"{address} is no address of a server\n"
            "  fix: write it as http://HOST:PORT or https://HOST:PORT"
        )


def test_closed_connections_are_not_held():
    with serving() as (_, address):
        connections = Connections(address, PATIENCE, None)
        connections.send("GET", "/", {})
        assert len(connections._idle) == 1
        connections.close()
        assert connections._idle == []
        connections.send("GET", "/", {})  # a request that was in progress
        assert connections._idle == []


def test_arrays_of_an_archive_are_views():
    scores = np.arange(35, dtype=np.float64).reshape(5, 7)
    decisions = scores > 9
    archive = zip_bytes(b'{"verdict": "accept"}', {"scores": scores, "decisions": decisions})
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert opened.read("scores.npy") == npy_bytes(scores)
    body = np.frombuffer(bytearray(archive), np.uint8)
    found = unzip(body)
    assert found.verdict == "accept"
    assert found["scores"].tobytes() == scores.tobytes()
    assert found["decisions"].tobytes() == decisions.tobytes()
    assert np.shares_memory(found["scores"], body)
    place = found["scores"].ctypes.data - body.ctypes.data
    assert place % ALIGNMENT == 0
    found["scores"][0] = 0  # as an array of the caller's own


def test_archives_as_others_write_them():
    scores = np.arange(6, dtype=np.float32).reshape(2, 3)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("scores.npy", npy_bytes(scores))
        archive.writestr("result.json", "{}")
    padded = np.frombuffer(bytearray(b"\0" + file.getvalue()), np.uint8)[1:]
    found = unzip(padded)
    assert found["scores"].tobytes() == scores.tobytes()
    assert found["scores"].flags.aligned


@pytest.mark.parametrize(
    "file",
    [b"", b"0123456789", b"\x93NUMPY\x01\x00\x04\x00{{{{", npy_bytes(np.ones(3))[:-1]],
)
def test_damaged_arrays(file):
    with pytest.raises(ValueError, match=r"NPY"):
        npy_array(np.frombuffer(bytearray(file), np.uint8))
