"""Connections of HTTP/1.1 that any number of threads use again."""

from __future__ import annotations

import base64
import http.client
import selectors
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

import numpy as np

from specloom import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IDLE_SECONDS = 4.0
"""How long a connection waits for its next request: the server closes it after 5 s."""

IDLE_CONNECTIONS = 20
"""How many connections wait for their next request."""

FAILURES = (OSError, http.client.HTTPException)
"""What a request raises that gets no answer."""


class Connections:
    """Sends requests to one server, each over a connection of its own while it lasts.

    Args:
        url: The address of the server.
        timeout: Seconds that a server may take to be reached, to receive or to answer.
        authority: The certificate (PEM) that vouches for the server's; None for the system's.

    Raises:
        ConfigError: The address names no host, or a port that is none.
    """

    def __init__(self, url: str, timeout: float, authority: Path | None) -> None:
        self._address = _address_of(url)
        self._credentials = _credentials(self._address)
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None
        if self._address.scheme == "https":
            self._context = _context_of(authority)
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        parts: Sequence[bytes | memoryview] = (),
    ) -> tuple[int, NDArray[np.uint8]]:
        """The status and the body of the answer to a request.

        Args:
            method: The method.
            target: The path below the address, with the query.
            headers: The headers next to those of the connection.
            parts: The body, which is sent one part after another without a copy.

        Raises:
            OSError: The server does not answer, or not in time.
            HTTPException: It answers with something else than HTTP.
        """
        connection = self._take()
        try:
            connection.putrequest(method, self._address.path + target, skip_accept_encoding=True)
            for name, value in {**self._credentials, **headers}.items():
                connection.putheader(name, value)
            if method != "GET":
                size = sum(memoryview(part).nbytes for part in parts)
                connection.putheader("Content-Length", str(size))
            connection.endheaders()
            # A server that refuses a request closes the connection before it has the body.
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    connection.send(part)
            answer = connection.getresponse()
            body = _body_of(answer)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer.status, body

    def close(self) -> None:
        """Close the connections, those in use when their requests end."""
        with self._lock:
            self._is_closed = True
            idle = self._idle
            self._idle = []
        for connection, _ in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        """A connection that waits, or a new one."""
        while True:
            with self._lock:
                if not self._idle:
                    return self._new()
                connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS and not _is_closed(connection):
                return connection
            connection.close()

    def _new(self) -> http.client.HTTPConnection:
        host = str(self._address.hostname)
        if self._context is None:
            port = self._address.port or http.client.HTTP_PORT
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        port = self._address.port or http.client.HTTPS_PORT
        return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._context)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        """Let a connection wait for its next request, where the server has not closed it."""
        if connection.sock is None:
            return
        with self._lock:
            if not self._is_closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()


def _address_of(url: str) -> SplitResult:
    """The parts of an address.

    Raises:
        ConfigError: It names no host, or a port that is none.
    """
    try:
        address = urlsplit(url)
        is_valid = bool(address.hostname) and address.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        what = f"{url} is no address of a server"
        raise ConfigError(what, fix="write it as http://HOST:PORT or https://HOST:PORT")
    return address


def _credentials(address: SplitResult) -> dict[str, str]:
    """The header for name and password of an address, where it has them."""
    if address.username is None:
        return {}
    pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _context_of(authority: Path | None) -> ssl.SSLContext:
    """What checks the certificate of a server."""
    if authority is not None:
        return ssl.create_default_context(cafile=authority)
    import httpx2  # takes 0.1 s, and knows where each system has its certificates

    return httpx2.create_ssl_context(trust_env=False)


def _body_of(answer: http.client.HTTPResponse) -> NDArray[np.uint8]:
    """The body of an answer, received where it stays.

    Raises:
        OSError: It does not arrive in time.
        HTTPException: It is shorter than the answer says.
    """
    if answer.length is None:
        return np.frombuffer(bytearray(answer.read()), np.uint8)
    body = np.empty(answer.length, np.uint8)
    missing = body.data
    while missing:
        count = answer.readinto(missing)
        if count == 0:
            raise http.client.IncompleteRead(b"", len(missing))
        missing = missing[count:]
    answer.read()  # closes an answer without a body
    return body


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection on which nothing is expected."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))
