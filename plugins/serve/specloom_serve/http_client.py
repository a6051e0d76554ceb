"""The client of HTTP."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from http.client import BadStatusLine, RemoteDisconnected
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import numpy as np

from specloom_serve.answers import (
    Answer,
    Question,
    Upload,
    late_answer,
    no_answer,
    numbers_of,
    refusal,
)
from specloom_serve.connections import FAILURES, Connections
from specloom_serve.errors import AnswerError
from specloom_serve.npy_body import npy_parts
from specloom_serve.zipped import unzip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import httpx2
    from numpy.typing import NDArray

JSON = "application/json"
NPY = "application/x-npy"

Part = bytes | memoryview


class Sender(Protocol):
    """What sends requests of HTTP."""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], parts: Sequence[Part] = ()
    ) -> tuple[int, NDArray[np.uint8]]:
        """The status and the body of the answer to a request."""

    def close(self) -> None:
        """Close the connections."""


class HttpTransport:
    """Calls a server over HTTP.

    Args:
        url: The address of the server.
        token: Its token; empty for none.
        timeout: Seconds within which there is an answer.
        http: A client of httpx2 to use instead of connections of its own.
        authority: The certificate (PEM) that vouches for the server's; None for the system's.

    Raises:
        ConfigError: The address names no host, or a port that is none.
    """

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float,
        http: httpx2.Client | None,
        authority: Path | None,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._headers = {}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._sender: Sender
        if http is None:
            self._sender = Connections(url, timeout, authority)
        else:
            self._sender = HttpxSender(http, url)

    def predict(self, question: Question) -> Answer:
        """The outputs for one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        body = self._send(question, "zip")
        with self._reading():
            return unzip(body)

    def describe(self, question: Question) -> dict[str, Any]:
        """The numbers about one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return self._plain(self._send(question, "json"))

    def picture(self, question: Question, output: str) -> bytes:
        """One output as PNG.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return self._send(question, "png", output).tobytes()

    def pipeline(self) -> dict[str, Any]:
        """The description of the pipeline.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return self._plain(self._call("GET", "/pipeline"))

    def is_ready(self) -> bool:
        """Whether the server takes requests."""
        try:
            self._call("GET", "/ready")
        except AnswerError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def _send(self, question: Question, wanted: str, output: str = "") -> NDArray[np.uint8]:
        query = {"format": wanted}
        if output:
            query["output"] = output
        if question.wavelengths is not None:
            numbers = [repr(float(value)) for value in question.wavelengths]
            query["wavelengths"] = ",".join(numbers)
        media_type, parts = _body_of(question)
        return self._call("POST", f"/predict?{urlencode(query)}", parts, media_type)

    def _plain(self, body: NDArray[np.uint8]) -> dict[str, Any]:
        """The values of an answer in JSON.

        Raises:
            AnswerError: It is not one of ``specloom serve``.
        """
        with self._reading():
            found: dict[str, Any] = json.loads(body.tobytes())
        return found

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A context in which an answer is read.

        Raises:
            AnswerError: It is not one of ``specloom serve``.
        """
        try:
            yield
        except (ValueError, KeyError, RecursionError) as error:
            what = f"{self._url} answers something else than specloom serve"
            raise AnswerError(200, what, "check the address") from error

    def _call(
        self, method: str, target: str, parts: Sequence[Part] = (), media_type: str = ""
    ) -> NDArray[np.uint8]:
        """The body of an answer.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        headers = dict(self._headers)
        if media_type:
            headers["Content-Type"] = media_type
        try:
            status, body = self._sender.send(method, target, headers, parts)
        except TimeoutError as error:
            raise late_answer(self._url, self._timeout) from error
        except FAILURES as error:
            raise no_answer(self._url, _reason(error)) from error
        if status != 200:
            raise refusal(status, _error_parts(body.tobytes()))
        return body


class HttpxSender:
    """Sends requests with a client of httpx2.

    Args:
        http: The client.
        url: The address of the server.
    """

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self._http = http
        self._url = url

    def send(
        self, method: str, target: str, headers: Mapping[str, str], parts: Sequence[Part] = ()
    ) -> tuple[int, NDArray[np.uint8]]:
        """The status and the body of the answer to a request.

        Raises:
            OSError: The server does not answer.
        """
        import httpx2

        content = b"".join(parts) if parts else None
        try:
            answer = self._http.request(
                method, f"{self._url}{target}", content=content, headers=dict(headers)
            )
        except httpx2.HTTPError as error:
            raise OSError(str(error)) from error
        return answer.status_code, np.frombuffer(bytearray(answer.content), np.uint8)

    def close(self) -> None:
        """Close the client."""
        self._http.close()


def _body_of(question: Question) -> tuple[str, list[Part]]:
    """The media type and the parts of the body of a question.

    Raises:
        DataError: The array holds objects, or a file that is sent is not there.
    """
    cube = question.cube
    if isinstance(cube, Upload):
        header, data = cube.files()
        return _form({"header": [header], "data": [data]})
    if isinstance(cube, str | Path):
        path = {"path": Path(cube).as_posix()}
        if question.variable is not None:
            path["variable"] = question.variable
        return JSON, [json.dumps(path).encode()]
    parts = npy_parts(numbers_of(cube))
    if question.valid is not None:
        return _form({"cube": parts, "valid": npy_parts(numbers_of(question.valid))})
    return NPY, parts


def _form(files: Mapping[str, list[Part]]) -> tuple[str, list[Part]]:
    """The media type and the parts of a form with files."""
    boundary = secrets.token_hex(16)
    parts: list[Part] = []
    for name, contents in files.items():
        start = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{name}"; filename="upload"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        parts += [start.encode(), *contents, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", parts


def _reason(error: Exception) -> str:
    """Why there is no answer, without the bytes of one that is not HTTP."""
    is_read = isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected)
    if is_read:
        return "what it sends is no HTTP/1.1"
    return str(error)


def _error_parts(body: bytes) -> Any:
    """The error that a body describes; None where it describes none."""
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
