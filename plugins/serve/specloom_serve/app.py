"""The HTTP application: one pipeline, its engine, and the addresses that answer."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

import numpy as np
from fastapi import FastAPI, Request
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from specloom import did_you_mean
from specloom_predict import Predictor
from specloom_serve.body import read_body
from specloom_serve.described import describe_pipeline
from specloom_serve.docs_page import POLICY, docs_page
from specloom_serve.engine import Engine, late
from specloom_serve.errors import RefusedError
from specloom_serve.gate import MOST_OF_A_PATH, OPEN_PATHS, Gate, error_response
from specloom_serve.metrics import Metrics
from specloom_serve.openapi import PREDICT, TEXT
from specloom_serve.results import MEDIA_TYPES, Wanted, json_bytes, render
from specloom_serve.service import Sent, Service
from specloom_serve.settings import Limits

QUERY = ("format", "output", "wavelengths", "deadline")
"""The parameters of an address."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Companion(Protocol):
    """What runs as long as an application."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Come to an end."""


class Endpoints:
    """What answers at the addresses of a server.

    Args:
        service: What both protocols share.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.engine = service.engine

    async def predict(self, request: Request) -> Response:
        """Predict one cube: NPY or an ENVI pair in the body, or a path below the root in JSON."""
        async with AsyncExitStack() as files:
            files.enter_context(self.service.place())
            wanted = _wanted(request)
            seconds = min(wanted.deadline or self.engine.deadline, self.engine.deadline)
            sent = await read_body(request, wanted.wavelengths, self.service.limits, files)
            future = self.engine.submit(
                lambda predictor: self._answer(predictor, sent, wanted), seconds
            )
            waiting = asyncio.wrap_future(future)
            gone = asyncio.ensure_future(_gone(request))
            await asyncio.wait(
                (waiting, gone),
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if waiting.done():
                gone.cancel()
                return Response(waiting.result(), media_type=MEDIA_TYPES[wanted.format])
            waiting.cancel()
            if gone.done():
                raise ClientDisconnect
            gone.cancel()
            raise late(seconds)

    async def health(self, request: Request) -> Response:
        """Whether the process answers."""
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Whether requests for predictions are taken: 200, else 503."""
        ready = self.engine.is_ready
        found = {"ready": ready, "warm_up_error": self.engine.warm_up_error}
        return _json(found, 200 if ready else 503)

    async def show_metrics(self, request: Request) -> Response:
        """Counts and times for Prometheus."""
        text = self.service.metrics.text(self.engine, self.service.active)
        return Response(text, media_type=TEXT)

    async def pipeline(self, request: Request) -> Response:
        """The pipeline: nodes with ports and parameters, outputs, plugins with pins, limits."""
        return _json(describe_pipeline(self.engine.predictor, self.service.limits))

    def _answer(self, predictor: Predictor, sent: Sent, wanted: Wanted) -> bytes:
        """Open and predict a cube, in the engine's thread."""
        cube = self.service.open(predictor, sent)
        return render(predictor, cube, wanted, self.service.limits.objects)


def build_app(
    predictor: Predictor,
    *,
    root: str | Path | None = None,
    token: str = "",
    hosts: tuple[str, ...] = (),
    limits: Limits | None = None,
    waiting: int = 4,
    deadline: float = 60.0,
    engine: Engine | None = None,
) -> Gate:
    """The application of a server, for uvicorn or any other server of ASGI.

    Args:
        predictor: The fitted pipeline.
        root: The folder below which cubes may be named by path; None for no paths.
        token: What requests must bring; empty for no token.
        hosts: The names by which the server may be called; any where empty.
        limits: The limits on requests.
        waiting: How many requests may wait.
        deadline: Seconds within which a request is answered.
        engine: What computes, not started, instead of one with ``waiting`` and ``deadline``.

    Raises:
        ConfigError: A limit is not above 0.
    """
    if engine is None:
        engine = Engine(predictor, waiting=waiting, deadline=deadline)
    place = None if root is None else Path(root)
    service = Service(engine, limits or Limits(), place, Metrics())
    return app_of(service, token, hosts)


def app_of(
    service: Service,
    token: str = "",
    hosts: tuple[str, ...] = (),
    companion: Companion | None = None,
) -> Gate:
    """The application of a service.

    Args:
        service: The service, whose engine starts and stops with the application.
        token: What requests must bring; empty for no token.
        hosts: The names by which the server may be called; any where empty.
        companion: What starts after the engine, and stops before it: a server of gRPC.
    """
    endpoints = Endpoints(service)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.engine.start)
        if companion is not None:
            companion.start()
        yield
        if companion is not None:
            await asyncio.to_thread(companion.stop)
        await asyncio.to_thread(service.engine.stop)

    app = FastAPI(
        title="specloom",
        version=version("specloom-serve"),
        lifespan=running,
        docs_url=None,
        redoc_url=None,
    )
    predict = _safe(endpoints.predict, service)
    app.add_api_route("/predict", predict, methods=["POST"], **PREDICT)
    gets = {
        "/health": endpoints.health,
        "/ready": endpoints.ready,
        "/metrics": endpoints.show_metrics,
        "/pipeline": endpoints.pipeline,
    }
    for address, answer in gets.items():
        app.add_api_route(
            address,
            _safe(answer, service),
            methods=["GET"],
            summary=(answer.__doc__ or "").strip(),
            response_description="The answer.",
        )
    for address in OPEN_PATHS:
        probe = _safe(gets[address], service)
        app.add_api_route(address, probe, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/docs", _docs(app, service), methods=["GET"], include_in_schema=False)
    app.add_exception_handler(HTTPException, _no_such_route(app))
    return Gate(app, service.metrics, service.limits.header_bytes, token, hosts)


def _safe(answer: Endpoint, service: Service) -> Endpoint:
    """An endpoint whose errors are answers."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as caught:
            error = service.as_error(caught)
            return error_response(error, service.shown(error))

    answered.__name__ = answer.__name__
    answered.__doc__ = answer.__doc__
    return answered


def _docs(app: FastAPI, service: Service) -> Endpoint:
    """The endpoint of the page that describes the addresses."""
    name = str(service.engine.predictor.run.metadata["name"])

    async def docs(request: Request) -> Response:
        page = docs_page(app.openapi(), name)
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    return docs


def _no_such_route(app: FastAPI) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What answers requests for other addresses, or with other methods."""

    async def refuse(request: Request, error: Exception) -> Response:
        known = sorted(route.path for route in app.routes if isinstance(route, Route))
        path = request.url.path[:MOST_OF_A_PATH]
        refused = RefusedError(404, f"there is no address {path!r}", did_you_mean(path, known))
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = error.headers["Allow"] if error.headers else ""
            what = f"{request.method} is not answered at {path!r}"
            refused = RefusedError(405, what, f"use one of: {allowed}")
        return error_response(refused)

    return refuse


def _json(value: Any, status: int = 200) -> Response:
    return Response(json_bytes(value), status, media_type="application/json")


async def _gone(request: Request) -> None:
    """Return when the client has gone away."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


def _wanted(request: Request) -> Wanted:
    """What the parameters of the address say.

    Raises:
        RefusedError: One is not known, or its value is not.
    """
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    for name in query:
        if name not in QUERY:
            raise RefusedError(400, f"there is no parameter {name!r}", did_you_mean(name, QUERY))
    chosen = query.get("format", "json")
    if chosen not in MEDIA_TYPES:
        fix = did_you_mean(chosen, MEDIA_TYPES)
        raise RefusedError(400, f"there is no format {chosen!r}", fix)
    return Wanted(
        chosen,
        query.get("output", ""),
        _wavelengths(query.get("wavelengths")),
        _deadline(query.get("deadline")),
    )


def _wavelengths(text: str | None) -> NDArray[np.float64] | None:
    """Band centres in nm, (C,).

    Raises:
        RefusedError: One is no number.
    """
    numbers = _numbers("wavelengths", text)
    if numbers is None:
        return None
    return np.array(numbers)


def _deadline(text: str | None) -> float | None:
    """The seconds within which an answer is wanted.

    Raises:
        RefusedError: They are no number above 0.
    """
    numbers = _numbers("deadline", text)
    if numbers is None:
        return None
    if len(numbers) != 1 or numbers[0] <= 0:
        raise RefusedError(400, "the deadline is no number above 0", "send a number of seconds")
    return numbers[0]


def _numbers(name: str, text: str | None) -> list[float] | None:
    """The numbers of a parameter, separated by commas.

    Raises:
        RefusedError: One is no finite number.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) for number in numbers):
        what = f"of the parameter {name!r} a part is no number"
        raise RefusedError(400, what, "send numbers, separated by commas")
    return numbers
