"""The HTTP application: one pipeline, its engine, and the addresses that answer."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from fastapi import FastAPI, Request
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from specloom import SpecloomError, did_you_mean, machine_error
from specloom_cubes import Cube, array_cube
from specloom_predict import Predictor
from specloom_serve.engine import Engine, fitted_bands, late
from specloom_serve.errors import RefusedError
from specloom_serve.gate import Gate, error_response
from specloom_serve.metrics import Metrics
from specloom_serve.npy_body import check_shape, receive_cube
from specloom_serve.openapi import PREDICT, TEXT
from specloom_serve.results import MEDIA_TYPES, Wanted, json_bytes, render
from specloom_serve.root import file_below
from specloom_serve.settings import Limits

LOG = logging.getLogger("specloom.serve")

NPY_TYPES = ("application/x-npy", "application/octet-stream")
"""What the media type of a cube in the body may be."""

JSON_BYTES = 8192
"""The longest body in JSON."""

QUERY = ("format", "output", "wavelengths", "deadline")
"""The parameters of an address."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Service:
    """The answers of a server.

    Args:
        engine: What computes.
        limits: The limits on requests.
        root: The folder below which cubes may be named by path; None for no paths.
        metrics: What counts.
    """

    def __init__(self, engine: Engine, limits: Limits, root: Path | None, metrics: Metrics) -> None:
        self.engine = engine
        self.limits = limits
        self.root = root
        self.metrics = metrics
        self.active = 0

    async def predict(self, request: Request) -> Response:
        """Predict one cube: NPY in the body, or a path below the root in JSON."""
        with self._place():
            wanted = _wanted(request)
            seconds = min(wanted.deadline or self.engine.deadline, self.engine.deadline)
            body = await self._read(request)
            future = self.engine.submit(
                lambda predictor: self._answer(predictor, body, wanted), seconds
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
        text = self.metrics.text(self.engine, self.active)
        return Response(text, media_type=TEXT)

    async def pipeline(self, request: Request) -> Response:
        """The pipeline: outputs, rules, bands, plugins with versions and pins, limits."""
        return _json(describe_pipeline(self.engine.predictor, self.limits))

    async def _read(self, request: Request) -> Any:
        """The cube of a body, or the request for a cube by path.

        Raises:
            RefusedError: It is neither, or too large.
        """
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        stated = _stated_length(request)
        if media_type == "application/json":
            if "wavelengths" in request.query_params:
                what = "wavelengths are only for cubes in a body"
                raise RefusedError(400, what, "leave them out: the file has its own")
            return await _read_path(request, stated, self.limits)
        if media_type not in NPY_TYPES:
            what = "the body is neither NPY nor JSON by its content type"
            fix = "send 'Content-Type: application/x-npy', or application/json with a path"
            raise RefusedError(415, what, fix)
        return await receive_cube(aiter(request.stream()), stated, self.limits)

    def _answer(self, predictor: Predictor, body: Any, wanted: Wanted) -> bytes:
        """Open and predict a cube, in the engine's thread."""
        cube = self._cube(predictor, body, wanted)
        return render(predictor, cube, wanted, self.limits.objects)

    def _cube(self, predictor: Predictor, body: Any, wanted: Wanted) -> Cube:
        """The cube of a request.

        Raises:
            SpecloomError: It cannot be opened, is too large, or has other bands.
        """
        if isinstance(body, dict):
            file = file_below(self.root, body["path"], predictor.valid_files)
            cube = predictor.open(file, body.get("variable"))
        else:
            cube = array_cube(body, wanted.wavelengths, name="the cube")
        check_shape(cube.shape, self.limits)
        predictor.check_cube(cube)
        return cube

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests at the same time.

        Raises:
            RefusedError: All are taken.
        """
        if self.active >= self.limits.requests:
            what = f"{self.active} requests are in progress, and no more may"
            raise RefusedError(503, what, "try again later")
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1


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
    limits = limits or Limits()
    if engine is None:
        engine = Engine(predictor, waiting=waiting, deadline=deadline)
    metrics = Metrics()
    place = None if root is None else Path(root)
    service = Service(engine, limits, place, metrics)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(engine.start)
        yield
        await asyncio.to_thread(engine.stop)

    app = FastAPI(
        title="specloom",
        version=version("specloom-serve"),
        lifespan=running,
        docs_url=None,
        redoc_url=None,
    )
    app.add_api_route("/predict", _safe(service.predict, place), methods=["POST"], **PREDICT)
    gets = {
        "/health": service.health,
        "/ready": service.ready,
        "/metrics": service.show_metrics,
        "/pipeline": service.pipeline,
    }
    for address, answer in gets.items():
        app.add_api_route(
            address, _safe(answer, place), methods=["GET"], summary=(answer.__doc__ or "").strip()
        )
    return Gate(app, metrics, limits.header_bytes, token, hosts)


def describe_pipeline(predictor: Predictor, limits: Limits) -> dict[str, Any]:
    """What a pipeline reads and makes, and what it is made of, as plain values."""
    graph = predictor.run.graph
    outputs = {}
    for name, end in predictor.ends.items():
        port = graph.port(end)
        outputs[name] = {"from": end, "axes": list(port.axes or ()), "dtype": port.dtype}
    return {
        "name": predictor.run.metadata["name"],
        "bands": fitted_bands(predictor),
        "outputs": outputs,
        "rules": [rule.text for rule in predictor.rules],
        "notes": list(predictor.notes),
        **predictor.origin(),
        "limits": vars(limits),
    }


def _safe(answer: Endpoint, root: Path | None) -> Endpoint:
    """An endpoint whose errors are answers, which do not say where the root lies."""
    hidden = ""
    if root is not None:
        hidden = f"{root.resolve()}/"

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except SpecloomError as error:
            return error_response(error, hidden)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            LOG.exception("a request failed")
            known = machine_error(error)
            if known is not None:
                return error_response(RefusedError(503, "the machine lacks something", known.fix))
            fix = "report it with the log of the server"
            return error_response(RefusedError(500, "the request failed", fix))

    answered.__name__ = answer.__name__
    answered.__doc__ = answer.__doc__
    return answered


def _json(value: Any, status: int = 200) -> Response:
    return Response(json_bytes(value), status, media_type="application/json")


async def _gone(request: Request) -> None:
    """Return when the client has gone away."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


def _stated_length(request: Request) -> int | None:
    """The length that a request states.

    Raises:
        RefusedError: It is no number.
    """
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RefusedError(400, "the content length is no number", "send the number of bytes")
    return int(text)


async def _read_path(request: Request, stated: int | None, limits: Limits) -> dict[str, str]:
    """The body ``{"path": …, "variable": …}``.

    Raises:
        RefusedError: It is something else, or too long.
    """
    fix = 'send {"path": "scene.hdr"}, and "variable" where the file holds several arrays'
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > JSON_BYTES or (stated or 0) > JSON_BYTES:
                    what = f"the JSON body has more than {JSON_BYTES} bytes"
                    raise RefusedError(413, what, fix)
                body += chunk
    except TimeoutError:
        what = f"the body did not arrive within {limits.body_seconds:g} s"
        raise RefusedError(408, what, fix) from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is no JSON", fix) from None
    if not isinstance(found, dict) or not isinstance(found.get("path"), str):
        raise RefusedError(400, "the body names no path", fix)
    if not found.keys() <= {"path", "variable"}:
        raise RefusedError(400, "the body has other keys than path and variable", fix)
    if not isinstance(found.get("variable", ""), str):
        raise RefusedError(400, "the variable is no text", fix)
    return found


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
