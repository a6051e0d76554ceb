"""The server of gRPC: the same pipeline, engine and limits as over HTTP."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from specloom import UnavailableError, did_you_mean
from specloom_serve.described import describe_pipeline
from specloom_serve.engine import late
from specloom_serve.errors import ERROR_KEY, RefusedError, code_of, status_of
from specloom_serve.messages import cube_of, description, mask_of, response
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.results import chosen_output, describe, draw
from specloom_serve.service import (
    DATA,
    HEADER,
    LOG,
    Sent,
    SentArray,
    SentPair,
    SentPath,
    pair_folder,
)
from specloom_serve.wire import cut_out_data

if TYPE_CHECKING:
    from specloom import SpecloomError
    from specloom_predict import Predictor
    from specloom_serve.service import Service

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

NAME = pb.DESCRIPTOR.services_by_name["Specloom"].full_name
"""The full name of the service."""

PROBES = 8
"""Threads for calls that are no predictions: health, reflection, descriptions, refusals."""

CONNECTIONS = 48
"""Calls beyond the predictions that may be in progress."""

MESSAGE_BYTES = 2_100_000
"""The bytes of a message next to those of a cube: an ENVI header, wavelengths, names."""

FREE_CALLS = ("/grpc.health.v1.Health/",)
"""What needs no token: probes of the system that runs the server."""

GRACE_SECONDS = 5.0
"""How long calls in progress may last when the server stops."""


class GrpcServer:
    """A server of gRPC for a service.

    Args:
        service: What both protocols share.
        address: Where it listens, as ``host:port``; port 0 for any that is free.
        token: What calls must bring as metadata ``authorization: Bearer TOKEN``; empty for none.
        certificate: The certificate chain (PEM) for TLS; None for none.
        key: Its private key.

    Raises:
        UnavailableError: The port cannot be used.
    """

    def __init__(
        self,
        service: Service,
        address: str,
        token: str = "",
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        limits = service.limits
        pool = ThreadPoolExecutor(limits.requests + PROBES, "specloom-grpc")
        masked = limits.body_bytes + limits.pixels
        options = [
            ("grpc.max_receive_message_length", min(masked + MESSAGE_BYTES, 2**31 - 1)),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", limits.header_bytes),
            ("grpc.absolute_max_metadata_size", limits.header_bytes),
            ("grpc.max_allowed_incoming_connections", limits.requests + CONNECTIONS),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_connection_idle_ms", 300_000),
            ("grpc.so_reuseport", 0),
        ]
        self._service = service
        self._server = grpc.server(
            pool,
            interceptors=[_Token(token)] if token else [],
            options=options,
            maximum_concurrent_rpcs=limits.requests + CONNECTIONS,
        )
        self._health = health.HealthServicer()
        self._health.set(NAME, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._patience = _Patience(limits.body_seconds)
        self._server.add_generic_rpc_handlers((_handlers(service, self._patience),))
        #: The port where it listens.
        self.port = self._listen(address, certificate, key)

    def start(self) -> None:
        """Take calls."""
        self._patience.start()
        self._server.start()
        for name in (NAME, ""):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Take no calls, and return when those in progress have ended."""
        self._health.enter_graceful_shutdown()
        self._server.stop(GRACE_SECONDS).wait()
        self._patience.stop()

    def _listen(self, address: str, certificate: Path | None, key: Path | None) -> int:
        try:
            if certificate is None or key is None:
                return int(self._server.add_insecure_port(address))
            pair = (key.read_bytes(), certificate.read_bytes())
            credentials = grpc.ssl_server_credentials([pair])
            return int(self._server.add_secure_port(address, credentials))
        except (RuntimeError, OSError):
            what = f"{address} cannot be used for gRPC"
            fix = "use another port, or 0 for any, and files of PEM for TLS"
            raise UnavailableError(what, where="--grpc-port", fix=fix) from None


class _Token(grpc.ServerInterceptor):
    """Refuses calls without the token, before their messages are received.

    Args:
        token: The token.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler of a call; one that refuses it where the token is not the server's."""
        if handler_call_details.method.startswith(FREE_CALLS):
            return continuation(handler_call_details)
        found = dict(handler_call_details.invocation_metadata).get("authorization", "")
        sent = found if isinstance(found, bytes) else found.encode()
        if hmac.compare_digest(sent, self._expected):
            return continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse_token)


def _refuse_token(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    fix = "send the metadata 'authorization: Bearer TOKEN'"
    error = RefusedError(401, "the token is missing or wrong", fix)
    _abort(context, error, {"what": error.what, "where": "", "fix": fix})
    yield b""


class _Patience:
    """Cancels the calls whose message does not arrive in time, all in one thread.

    Args:
        seconds: How long a call is waited for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[grpc.ServicerContext, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="specloom-grpc-patience", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._thread.join()

    @contextmanager
    def limit(self, context: grpc.ServicerContext) -> Iterator[None]:
        """A context in which the message of a call must arrive."""
        with self._lock:
            self._ends[context] = time.monotonic() + self._seconds
        try:
            yield
        finally:
            with self._lock:
                self._ends.pop(context, None)

    def _run(self) -> None:
        pause = self._seconds
        while not self._stopped.wait(pause):
            pause = self._cancel_late_calls()

    def _cancel_late_calls(self) -> float:
        """Cancel the calls that are late; the seconds until another one can be."""
        now = time.monotonic()
        with self._lock:
            late = [context for context, end in self._ends.items() if end <= now]
            for context in late:
                del self._ends[context]
            pause = min(self._ends.values(), default=now + self._seconds) - now
        for context in late:
            context.cancel()
        return pause


def _handlers(service: Service, patience: _Patience) -> grpc.GenericRpcHandler:
    """The methods of the service.

    Predictions read their single message themselves, as a stream, so that they have a place among
    the requests before memory is taken for it. To clients the call is unary.
    """
    calls = _Calls(service, patience)
    return grpc.method_handlers_generic_handler(
        NAME,
        {
            "Predict": grpc.stream_unary_rpc_method_handler(
                calls.predict, response_serializer=pb.PredictResponse.SerializeToString
            ),
            "Describe": grpc.unary_unary_rpc_method_handler(
                calls.describe, response_serializer=pb.DescribeResponse.SerializeToString
            ),
        },
    )


class _Calls:
    """What answers calls.

    Args:
        service: What both protocols share.
        patience: Limits the time in which messages arrive.
    """

    def __init__(self, service: Service, patience: _Patience) -> None:
        self._service = service
        self._patience = patience

    def predict(
        self, messages: Iterator[bytes], context: grpc.ServicerContext
    ) -> pb.PredictResponse:
        """What the pipeline makes of one cube."""
        with self._answering("Predict", context), ExitStack() as files:
            files.enter_context(self._service.place())
            with self._patience.limit(context):
                message = next(messages, None)
            request, data = _parsed(message)
            seconds = self._seconds(context)
            sent = self._sent(request, data, files)
            future = self._service.engine.submit(
                lambda predictor: self._answer(predictor, sent, request), seconds
            )
            context.add_callback(lambda: _cancel(future))
            answer: pb.PredictResponse = _result(future, seconds)
            return answer
        raise AssertionError("a call that fails was aborted")

    def describe(self, message: bytes, context: grpc.ServicerContext) -> pb.DescribeResponse:
        """The pipeline: nodes with ports and parameters, outputs, plugins with pins, limits."""
        with self._answering("Describe", context):
            service = self._service
            return description(describe_pipeline(service.engine.predictor, service.limits))
        raise AssertionError("a call that fails was aborted")

    @contextmanager
    def _answering(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        """A context whose errors are the status of the call, which is counted and logged."""
        started = time.monotonic()
        status = 200
        error: SpecloomError | None = None
        try:
            yield
        except CancelledError:
            status = 499
        except grpc.RpcError:
            status = 499
        except Exception as caught:
            error = self._service.as_error(caught)
            status = status_of(error)
        seconds = time.monotonic() - started
        self._service.metrics.count(f"/{NAME}/{method}", status, seconds)
        LOG.info("gRPC %s %d %.3f s", method, status, seconds)
        if error is not None:
            _abort(context, error, self._service.shown(error))
        if status != 200:
            context.abort(grpc.StatusCode.CANCELLED, "the call was cancelled")

    def _seconds(self, context: grpc.ServicerContext) -> float:
        """The seconds within which a call is answered.

        Raises:
            DeadlineError: They are over.
        """
        most = self._service.engine.deadline
        remaining = context.time_remaining()
        if remaining is None:
            return most
        if remaining <= 0:
            raise late(0.0)
        return min(most, float(remaining))

    def _sent(self, request: pb.PredictRequest, data: memoryview | None, files: ExitStack) -> Sent:
        """The cube of a request.

        Args:
            request: The request.
            data: The bytes of its array, where they were cut out of it.
            files: Removes the files that are written, when the call is over.

        Raises:
            RefusedError: There is none, it is malformed, or too large.
        """
        kind = request.WhichOneof("cube")
        if kind == "array":
            values = cube_of(request.array, self._service.limits, data)
            valid = None
            if request.HasField("valid"):
                valid = mask_of(request.valid, self._service.limits)
            wavelengths = None
            if request.wavelengths:
                wavelengths = _finite(request.wavelengths)
            return SentArray(values, wavelengths, valid)
        if request.wavelengths or request.HasField("valid"):
            what = "wavelengths and valid are only for arrays"
            raise RefusedError(400, what, "leave them out: the file has its own")
        if kind == "file":
            return SentPath(request.file.path, request.file.variable or None)
        if kind == "envi":
            return _write_pair(request.envi, files)
        raise RefusedError(400, "the request has no cube", "set one of array, file and envi")

    def _answer(self, predictor: Predictor, sent: Sent, request: pb.PredictRequest) -> Any:
        """Open and predict a cube, in the engine's thread."""
        wanted = _wanted(predictor, request)
        cube = self._service.open(predictor, sent)
        if request.HasField("picture"):
            name = chosen_output(predictor, request.picture)
            return pb.PredictResponse(png=draw(predictor, cube, name))
        found = predictor.predict(cube)
        described = describe(predictor, found, self._service.limits.objects)
        return response(described, found.arrays, wanted)


def _parsed(message: bytes | None) -> tuple[pb.PredictRequest, memoryview | None]:
    """The message of a call, and the bytes of its array where they were cut out of it.

    Raises:
        RefusedError: It is none, or malformed.
    """
    if message is None:
        raise RefusedError(400, "the call has no message", "send a PredictRequest")
    rest, data = cut_out_data(message)
    try:
        return pb.PredictRequest.FromString(rest), data
    except DecodeError:
        raise RefusedError(400, "the message is no PredictRequest", "send one") from None


def _cancel(future: Future[Any]) -> None:
    """Do not compute what no caller waits for."""
    future.cancel()


def _result(future: Future[Any], seconds: float) -> Any:
    """What the engine made.

    Raises:
        DeadlineError: There was no result in time.
        SpecloomError: The engine raised it.
    """
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        future.cancel()
        raise late(seconds) from None


def _wanted(predictor: Predictor, request: pb.PredictRequest) -> list[str]:
    """The outputs whose data are wanted.

    Raises:
        RefusedError: The pipeline has no such output.
    """
    names = list(predictor.ends)
    for name in request.outputs:
        if name not in names:
            what = f"the pipeline has no output {name!r}"
            raise RefusedError(400, what, did_you_mean(name, names))
    if request.without_outputs:
        return []
    return list(request.outputs) or names


def _finite(wavelengths: Any) -> Any:
    """Band centres in nm, (C,).

    Raises:
        RefusedError: One is not finite.
    """
    values = np.array(wavelengths, np.float64)
    if not np.isfinite(values).all():
        raise RefusedError(400, "of the wavelengths one is not finite", "send them in nm")
    return values


def _write_pair(pair: pb.EnviPair, files: ExitStack) -> SentPair:
    folder = files.enter_context(pair_folder())
    (folder / HEADER).write_bytes(pair.header)
    (folder / DATA).write_bytes(pair.data)
    return SentPair(folder)


def _abort(context: grpc.ServicerContext, error: SpecloomError, parts: dict[str, str]) -> None:
    """End a call with an error: as its status, and as JSON in the metadata."""
    known = json.dumps({"status": status_of(error), "error": parts}).encode()
    context.set_trailing_metadata(((ERROR_KEY, known),))
    text = parts["what"]
    if parts["fix"]:
        text = f"{text}; fix: {parts['fix']}"
    context.abort(grpc.StatusCode[code_of(error)], text)
