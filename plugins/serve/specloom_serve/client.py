"""The client of a server in Python, over HTTP or gRPC."""

from __future__ import annotations

from pathlib import Path
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Protocol

from specloom import ConfigError
from specloom_serve.answers import Answer, Question, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    import httpx2
    from numpy.typing import NDArray

SCHEMES = ("http", "https", "grpc", "grpcs")
"""What addresses begin with."""


class Transport(Protocol):
    """What speaks one protocol; errors as of the client."""

    def predict(self, question: Question) -> Answer:
        """The outputs for one cube."""

    def describe(self, question: Question) -> dict[str, Any]:
        """The numbers about one cube."""

    def picture(self, question: Question, output: str) -> bytes:
        """One output as PNG."""

    def pipeline(self) -> dict[str, Any]:
        """The description of the pipeline."""

    def is_ready(self) -> bool:
        """Whether the server takes requests."""

    def close(self) -> None:
        """Close the connections."""


class Client:
    """Calls a server of ``specloom serve``; threads may share it.

    Args:
        url: The address of the server, such as ``http://127.0.0.1:8080`` or
            ``grpc://127.0.0.1:8081``; ``https`` and ``grpcs`` with TLS.
        token: The token of the server, where it has one.
        timeout: Seconds within which there is an answer.
        http: A client of httpx2 to use instead of connections of its own.
        authority: The certificate (PEM) that vouches for the server's, where the system does not
            know it.

    Raises:
        ConfigError: The address is of another kind, the token no header, or the timeout not above
            0; when it is called, the client was closed.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        timeout: float = 120.0,
        http: httpx2.Client | None = None,
        authority: str | Path | None = None,
    ) -> None:
        if not (token.isascii() and token.isprintable()):
            what = "the token has characters that no header holds"
            raise ConfigError(what, fix="use the token that the server was started with")
        if timeout is not None and not 0 < timeout < TIMEOUT_MAX:
            what = f"the timeout is {timeout:g} s"
            raise ConfigError(what, fix="set a number of seconds above 0")
        self._opened: Transport | None = _transport(url, token, timeout, http, authority)

    def predict(
        self,
        cube: NDArray[Any] | str | Path | Upload,
        *,
        variable: str | None = None,
        wavelengths: Sequence[float] | None = None,
        valid: NDArray[Any] | None = None,
    ) -> Answer:
        """The outputs for one cube, with verdict, measures and objects.

        Args:
            cube: An array (H, W, C), a path relative to the root of the server, or an ``Upload``.
            variable: The array that is the cube, where its file holds several.
            wavelengths: Of an array: band centres in nm.
            valid: Of an array: which pixels count, bool (H, W).

        Raises:
            DataError: The array holds objects, a file that is sent is not there, or an option is
                for cubes of another kind.
            AnswerError: The server refuses, or does not answer.
        """
        question = Question(cube, variable, wavelengths, valid)
        question.check()
        return self._transport().predict(question)

    def describe(
        self,
        cube: NDArray[Any] | str | Path | Upload,
        *,
        variable: str | None = None,
        wavelengths: Sequence[float] | None = None,
        valid: NDArray[Any] | None = None,
    ) -> dict[str, Any]:
        """Verdict, measures, objects and notes for one cube, without its maps.

        Raises:
            DataError: The array holds objects, a file that is sent is not there, or an option is
                for cubes of another kind.
            AnswerError: The server refuses, or does not answer.
        """
        question = Question(cube, variable, wavelengths, valid)
        question.check()
        return self._transport().describe(question)

    def picture(
        self,
        cube: NDArray[Any] | str | Path | Upload,
        output: str = "",
        *,
        variable: str | None = None,
    ) -> bytes:
        """One output for one cube as PNG; by default the scores.

        Raises:
            DataError: The array holds objects, a file that is sent is not there, or an option is
                for cubes of another kind.
            AnswerError: The server refuses, or does not answer.
        """
        question = Question(cube, variable)
        question.check()
        return self._transport().picture(question, output)

    def pipeline(self) -> dict[str, Any]:
        """The pipeline of the server, with its plugins.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return self._transport().pipeline()

    def is_ready(self) -> bool:
        """Whether the server takes requests."""
        return self._transport().is_ready()

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def _transport(self) -> Transport:
        """What speaks the protocol.

        Raises:
            ConfigError: The client was closed.
        """
        if self._opened is None:
            raise ConfigError("the client was closed", fix="make another Client")
        return self._opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _transport(
    url: str,
    token: str,
    timeout: float,
    http: httpx2.Client | None,
    authority: str | Path | None,
) -> Transport:
    """What speaks the protocol of an address.

    Raises:
        ConfigError: There is none.
    """
    scheme, found, address = url.rstrip("/").partition("://")
    if not found or scheme not in SCHEMES:
        what = f"{url} is no address of a server"
        raise ConfigError(what, fix="begin it with http://, https://, grpc:// or grpcs://")
    trusted = None if authority is None else Path(authority)
    if scheme.startswith("grpc"):
        from specloom_serve.grpc_client import GrpcTransport

        return GrpcTransport(address, token, timeout, trusted, is_secure=scheme == "grpcs")
    from specloom_serve.http_client import HttpTransport

    return HttpTransport(url.rstrip("/"), token, timeout, http, trusted)
