"""The client of HTTP."""

from __future__ import annotations

import json
import ssl
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from specloom_serve.answers import Answer, Question, Upload, no_answer, numbers_of, refusal
from specloom_serve.errors import AnswerError
from specloom_serve.npy_body import npy_bytes
from specloom_serve.results import RESULT


class HttpTransport:
    """Calls a server over HTTP.

    Args:
        url: The address of the server.
        token: Its token; empty for none.
        timeout: Seconds within which there is an answer.
        http: A client of httpx2 to use instead of a new one.
        authority: The certificate (PEM) that vouches for the server's; None for the system's.
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
        self._headers = {}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if http is None:
            verify: bool | ssl.SSLContext = True
            if authority is not None:
                verify = ssl.create_default_context(cafile=authority)
            http = httpx2.Client(timeout=timeout, trust_env=False, verify=verify)
        self._http = http

    def predict(self, question: Question) -> Answer:
        """The outputs for one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        arrays = {}
        with zipfile.ZipFile(BytesIO(self._send(question, "zip"))) as archive:
            result = json.loads(archive.read(RESULT))
            for name in archive.namelist():
                if name != RESULT:
                    file = BytesIO(archive.read(name))
                    arrays[name.removesuffix(".npy")] = np.load(file, allow_pickle=False)
        return Answer(arrays, result)

    def describe(self, question: Question) -> dict[str, Any]:
        """The numbers about one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        found: dict[str, Any] = json.loads(self._send(question, "json"))
        return found

    def picture(self, question: Question, output: str) -> bytes:
        """One output as PNG.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return self._send(question, "png", output)

    def pipeline(self) -> dict[str, Any]:
        """The description of the pipeline.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        found: dict[str, Any] = json.loads(self._call("GET", "/pipeline"))
        return found

    def is_ready(self) -> bool:
        """Whether the server takes requests."""
        try:
            self._call("GET", "/ready")
        except AnswerError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, question: Question, wanted: str, output: str = "") -> bytes:
        query = {"format": wanted}
        if output:
            query["output"] = output
        if question.wavelengths is not None:
            numbers = [repr(float(value)) for value in question.wavelengths]
            query["wavelengths"] = ",".join(numbers)
        cube = question.cube
        if isinstance(cube, Upload):
            header, data = cube.files()
            return self._call("POST", "/predict", query, files={"header": header, "data": data})
        if isinstance(cube, str | Path):
            path = {"path": Path(cube).as_posix()}
            if question.variable is not None:
                path["variable"] = question.variable
            return self._call("POST", "/predict", query, json.dumps(path).encode(), JSON)
        body = npy_bytes(numbers_of(cube))
        if question.valid is not None:
            files = {"cube": body, "valid": npy_bytes(numbers_of(question.valid))}
            return self._call("POST", "/predict", query, files=files)
        return self._call("POST", "/predict", query, body, NPY)

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        content: bytes | None = None,
        media_type: str = "",
        files: dict[str, bytes] | None = None,
    ) -> bytes:
        """The body of an answer.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        headers = dict(self._headers)
        if media_type:
            headers["Content-Type"] = media_type
        try:
            answer = self._http.request(
                method,
                f"{self._url}{path}",
                params=query,
                content=content,
                files=files,
                headers=headers,
            )
        except httpx2.HTTPError as error:
            raise no_answer(self._url, str(error)) from error
        if answer.status_code != 200:
            raise refusal(answer.status_code, _error_parts(answer.content))
        return bytes(answer.content)


JSON = "application/json"
NPY = "application/x-npy"


def _error_parts(body: bytes) -> Any:
    """The error that a body describes; None where it describes none."""
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
