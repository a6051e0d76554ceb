"""The client of a server in Python."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_serve.errors import AnswerError
from specloom_serve.results import RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import httpx2
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """What a server made of one cube.

    Args:
        arrays: The outputs by name, as ``specloom predict`` writes them as NPY.
        result: Verdict, reason, measures, objects, domain and notes, as plain values.
    """

    arrays: Mapping[str, NDArray[Any]]
    result: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """``accept``, ``reject`` or ``unjudged``."""
        return str(self.result["verdict"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An output.

        Raises:
            KeyError: There is none of that name.
        """
        return self.arrays[name]


class Client:
    """Calls a server of ``specloom serve``; threads may share it.

    Args:
        url: The address of the server, such as ``http://127.0.0.1:8080``.
        token: The token of the server, where it has one.
        timeout: Seconds within which there is an answer.
        http: A client of httpx2 to use instead of a new one.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        timeout: float = 120.0,
        http: httpx2.Client | None = None,
    ) -> None:
        import httpx2

        self._errors = httpx2.HTTPError
        self._url = url.rstrip("/")
        self._headers = {}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._http = http or httpx2.Client(timeout=timeout, trust_env=False)

    def predict(
        self,
        cube: NDArray[Any] | str | Path,
        *,
        variable: str | None = None,
        wavelengths: Sequence[float] | None = None,
    ) -> Answer:
        """The outputs for one cube, with verdict, measures and objects.

        Args:
            cube: An array (H, W, C), or a path relative to the root of the server.
            variable: The array that is the cube, where its file holds several.
            wavelengths: Of an array: band centres in nm.

        Raises:
            DataError: The array holds objects.
            AnswerError: The server refuses, or does not answer.
        """
        body = self._send(cube, "zip", "", variable, wavelengths)
        arrays = {}
        with zipfile.ZipFile(BytesIO(body)) as archive:
            result = json.loads(archive.read(RESULT))
            for name in archive.namelist():
                if name != RESULT:
                    file = BytesIO(archive.read(name))
                    arrays[name.removesuffix(".npy")] = np.load(file, allow_pickle=False)
        return Answer(arrays, result)

    def describe(
        self,
        cube: NDArray[Any] | str | Path,
        *,
        variable: str | None = None,
        wavelengths: Sequence[float] | None = None,
    ) -> dict[str, Any]:
        """Verdict, measures, objects and notes for one cube, without its maps.

        Raises:
            DataError: The array holds objects.
            AnswerError: The server refuses, or does not answer.
        """
        found: dict[str, Any] = json.loads(self._send(cube, "json", "", variable, wavelengths))
        return found

    def picture(
        self, cube: NDArray[Any] | str | Path, output: str = "", *, variable: str | None = None
    ) -> bytes:
        """One output for one cube as PNG.

        Raises:
            DataError: The array holds objects.
            AnswerError: The server refuses, or does not answer.
        """
        return self._send(cube, "png", output, variable, None)

    def pipeline(self) -> dict[str, Any]:
        """The pipeline of the server, with its plugins.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(
        self,
        cube: NDArray[Any] | str | Path,
        wanted: str,
        output: str,
        variable: str | None,
        wavelengths: Sequence[float] | None,
    ) -> bytes:
        query = {"format": wanted}
        if output:
            query["output"] = output
        if wavelengths is not None:
            query["wavelengths"] = ",".join(repr(float(value)) for value in wavelengths)
        if isinstance(cube, str | Path):
            path = {"path": Path(cube).as_posix()}
            if variable is not None:
                path["variable"] = variable
            content = json.dumps(path).encode()
            return self._call("POST", "/predict", query, content, "application/json")
        return self._call("POST", "/predict", query, _npy(cube), "application/x-npy")

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        media_type: str = "",
    ) -> bytes:
        """The body of an answer.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        headers = dict(self._headers)
        if media_type:
            headers["Content-Type"] = media_type
        address = f"{self._url}{path}"
        try:
            answer = self._http.request(
                method, address, params=query, content=content, headers=headers
            )
        except self._errors as error:
            what = f"{self._url} does not answer: {error}"
            raise AnswerError(0, what, "check the address, and whether the server runs") from error
        if answer.status_code != 200:
            raise _refusal(answer.status_code, answer.content)
        return bytes(answer.content)


def _npy(cube: NDArray[Any]) -> bytes:
    """An array as NPY, little-endian.

    Raises:
        DataError: It holds objects.
    """
    values = np.asarray(cube)
    if values.dtype.hasobject:
        raise DataError("the array holds objects", fix="pass an array of numbers")
    file = BytesIO()
    np.save(file, values.astype(values.dtype.newbyteorder("<"), copy=False), allow_pickle=False)
    return file.getvalue()


def _refusal(status: int, body: bytes) -> AnswerError:
    """The error that an answer describes."""
    what = f"the server answers {status}"
    fix = "see the log of the server"
    try:
        parts = json.loads(body)["error"]
        what = f"{what}: {parts['what']}"
        fix = str(parts["fix"]) or fix
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return AnswerError(status, what, fix)
