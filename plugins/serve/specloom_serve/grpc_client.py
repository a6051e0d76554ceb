"""The client of gRPC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from specloom_serve.answers import (
    Answer,
    Question,
    Upload,
    late_answer,
    no_answer,
    numbers_of,
    refusal,
)
from specloom_serve.errors import ERROR_KEY, AnswerError, http_status
from specloom_serve.messages import array_of, result_of, set_array
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.protocol.service_pb2_grpc import SpecloomStub
from specloom_serve.wire import request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

PREDICT = f"/{pb.DESCRIPTOR.services_by_name['Specloom'].full_name}/Predict"
"""The call that takes a cube."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcTransport:
    """Calls a server over gRPC.

    Args:
        address: Where the server listens, as ``host:port``.
        token: Its token; empty for none.
        timeout: Seconds within which there is an answer.
        authority: The certificate (PEM) that vouches for the server's; None for the system's.
        is_secure: Whether it is called with TLS.
    """

    def __init__(
        self, address: str, token: str, timeout: float, authority: Path | None, *, is_secure: bool
    ) -> None:
        self._url = f"{'grpcs' if is_secure else 'grpc'}://{address}"
        self._timeout = timeout
        self._metadata = []
        if token:
            self._metadata.append(("authorization", f"Bearer {token}"))
        if is_secure:
            trusted = None if authority is None else authority.read_bytes()
            credentials = grpc.ssl_channel_credentials(trusted)
            self._channel = grpc.secure_channel(address, credentials, OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, OPTIONS)
        self._stub = SpecloomStub(self._channel)
        self._send: Callable[..., bytes] = self._channel.unary_unary(PREDICT)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def predict(self, question: Question) -> Answer:
        """The outputs for one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        found = self._predict(question)
        arrays = {name: array_of(array) for name, array in found.outputs.items()}
        return Answer(arrays, result_of(found))

    def describe(self, question: Question) -> dict[str, Any]:
        """The numbers about one cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return result_of(self._predict(question, without_outputs=True))

    def picture(self, question: Question, output: str) -> bytes:
        """One output as PNG.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        return bytes(self._predict(question, picture=output).png)

    def pipeline(self) -> dict[str, Any]:
        """The description of the pipeline.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        answer = self._call(self._stub.Describe, pb.DescribeRequest())
        found: dict[str, Any] = json.loads(answer.json)
        return found

    def is_ready(self) -> bool:
        """Whether the server takes requests."""
        try:
            answer = self._call(self._health.Check, health_pb2.HealthCheckRequest())
        except AnswerError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _predict(self, question: Question, **options: Any) -> pb.PredictResponse:
        """What the server makes of a cube.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        answer = self._call(self._send, _request(question, pb.PredictRequest(**options)))
        return pb.PredictResponse.FromString(answer)

    def _call(self, method: Callable[..., Any], message: Any) -> Any:
        """The answer to a message.

        Raises:
            AnswerError: The server refuses, or does not answer.
        """
        try:
            return method(message, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error(error) from error

    def _error(self, error: Any) -> AnswerError:
        """The error of a call, as the server describes it in the metadata."""
        known = dict(error.trailing_metadata() or ()).get(ERROR_KEY)
        if known is not None:
            found = json.loads(known)
            return refusal(found["status"], found["error"])
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return no_answer(self._url, error.details())
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return late_answer(self._url, self._timeout, 504)
        parts = {"what": error.details(), "fix": ""}
        return refusal(http_status(error.code().name), parts)


def _request(question: Question, request: pb.PredictRequest) -> bytes:
    """The message of a question.

    Args:
        question: The question.
        request: What is wanted; the cube is set.

    Raises:
        DataError: The array holds objects, or a file that is sent is not there.
    """
    cube = question.cube
    if question.wavelengths is not None:
        request.wavelengths.extend(float(value) for value in question.wavelengths)
    if isinstance(cube, Upload):
        header, data = cube.files()
        request.envi.header = header
        request.envi.data = data
    elif isinstance(cube, str | Path):
        request.file.path = Path(cube).as_posix()
        request.file.variable = question.variable or ""
    else:
        if question.valid is not None:
            set_array(request.valid, numbers_of(question.valid))
        return request_bytes(request, numbers_of(cube))
    return request.SerializeToString()
