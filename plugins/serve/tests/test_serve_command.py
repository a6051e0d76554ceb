"""``specloom serve``: a real port, and options that are refused."""

import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from specloom import ConfigError, Pipeline, UnavailableError
from specloom_predict import Predictor
from specloom_rx import RXGlobal
from specloom_serve import AnswerError, Client
from specloom_serve.command import Binding
from specloom_serve.command import serve as command

TOKEN = "a-long-token-of-ours"


def cube():
    return np.random.default_rng(3).normal(10, 1, (20, 24, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pipeline = Pipeline("rx")
    rx = pipeline.add("rx", RXGlobal())
    pipeline.connect("batch.cube", rx.data)
    pipeline.outputs = {"scores": rx.scores}
    found = tmp_path_factory.mktemp("run")
    pipeline.fit(cube()).save_to_file(found / "pipeline.yaml")
    return found


def test_a_server_on_a_free_port(folder):
    program = [sys.executable, "-m", "specloom", "serve", str(folder), "--port", "0"]
    server = subprocess.Popen(
        [*program, "--device", "cpu", "--token", TOKEN], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.match(r"serving on (http://127\.0\.0\.1:(\d+)); Ctrl-C stops it\n", line)
        assert found is not None, line + server.stderr.read()
        expected = Predictor(folder, device="cpu").predict(cube()).scores.tobytes()
        with Client(found[1], token=TOKEN) as client:
            assert client.predict(cube())["scores"].tobytes() == expected
            pins = client.pipeline()["plugins"]
            assert "rx" in pins
            answer = huge_headers(int(found[2]))
            assert answer.startswith(b"HTTP/1.1 400")
            leave_early(int(found[2]))
            assert client.predict(cube())["scores"].tobytes() == expected
    finally:
        server.terminate()
        _, log = server.communicate(timeout=20)
    assert re.search(r"POST /predict 200 \d+\.\d{3} s\n", log), log
    assert TOKEN not in log


def huge_headers(port):
    """The answer to headers that do not end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000)
        return connection.recv(1000)


def leave_early(port):
    """Send half of a request, and go away."""
    start = f"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
    rest = "Content-Type: application/x-npy\r\nContent-Length: 9000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{start}{rest}".encode() + b"\x93NUMPY")


def refused(*arguments):
    """The error of a call."""
    return CliRunner().invoke(command, [str(one) for one in arguments]).exception


def test_another_host_needs_a_token(folder):
    error = refused(folder, "--host", "0.0.0.0")
    assert isinstance(error, ConfigError)
    assert str(error) == (
        "--host: 0.0.0.0 is not only this machine, and there is no token\n"
        "  fix: set SPECLOOM_SERVE_TOKEN, or leave --host out"
    )
    Binding("0.0.0.0", 0, TOKEN).check()
    Binding("::1", 0).check()
    Binding("localhost", 0).check()


@pytest.mark.parametrize("token", ["short", "with a space in it", "ünïcode-token-of-ours"])
def test_a_weak_token_is_refused(folder, token):
    error = refused(folder, "--token", token)
    assert str(error) == (
        "--token: the token is shorter than 16 characters, or not plain ASCII\n"
        "  fix: make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
    )


def test_half_of_tls_is_refused(folder, tmp_path):
    (tmp_path / "cert.pem").write_text("")
    error = refused(folder, "--tls-cert", tmp_path / "cert.pem")
    assert str(error) == (
        "--tls-cert: a certificate needs its key, and a key its certificate\n"
        "  fix: use --tls-cert and --tls-key together"
    )


def test_a_port_that_another_program_has():
    with Binding("127.0.0.1", 0).listen() as taken:
        assert taken.proto == socket.IPPROTO_TCP
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError) as caught:
            Binding("127.0.0.1", port).listen()
    assert str(caught.value) == (
        f"--port: 127.0.0.1, port {port} cannot be used: Address already in use\n"
        "  fix: use another port, or 0 for any"
    )


def test_names_of_a_server_on_this_machine():
    assert Binding("127.0.0.1", 0).names() == ("127.0.0.1", "[::1]", "localhost")
    assert Binding("127.0.0.1", 0, TOKEN).names() == ()


def test_a_client_without_a_server():
    with Binding("127.0.0.1", 0).listen() as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(address) as client:
        assert not client.is_ready()
        with pytest.raises(AnswerError) as caught:
            client.describe(cube())
    assert caught.value.status == 0
    assert caught.value.what.startswith(f"{address} does not answer: ")
    assert caught.value.fix == "check the address, and whether the server runs"
