"""What every request passes before the application: headers, host, token; and the log behind it."""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from specloom import SpecloomError, printable
from specloom_serve.errors import RefusedError, status_of
from specloom_serve.results import json_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from specloom_serve.metrics import Metrics

LOG = logging.getLogger("specloom.serve")

OPEN_PATHS = ("/health", "/ready")
"""What needs no token: probes of the system that runs the server."""

MOST_OF_A_PATH = 100
"""The characters of an address that the log shows."""


@dataclass
class Gate:
    """The outermost part of the application.

    Args:
        app: What answers.
        metrics: What counts.
        header_bytes: Bytes of the address and the headers of a request.
        token: What requests must bring as ``Authorization: Bearer``; empty for no token.
        hosts: The names by which the server may be called; any where empty.
    """

    app: ASGIApp
    metrics: Metrics
    header_bytes: int
    token: str = ""
    hosts: Collection[str] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and log it without data."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        status = 500

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, receive, send_seen)
            else:
                await error_response(refusal)(scope, receive, send_seen)
        finally:
            seconds = time.monotonic() - started
            self.metrics.count(scope["path"], status, seconds)
            path = printable(scope["path"][:MOST_OF_A_PATH])
            LOG.info("%s %s %d %.3f s", scope["method"], path, status, seconds)

    def _refusal(self, scope: Scope) -> RefusedError | None:
        """Why a request is not answered; None where it is."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        size = len(scope["path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in headers)
        if size > self.header_bytes:
            what = f"address and headers have {size} bytes, where {self.header_bytes} may be"
            return RefusedError(431, what, "send fewer or shorter headers")
        if self.hosts and _host(_header(headers, b"host")) not in self.hosts:
            what = "the server is not called by that name"
            return RefusedError(421, what, f"use one of: {', '.join(sorted(self.hosts))}")
        if self.token and scope["path"] not in OPEN_PATHS and not self._has_token(headers):
            fix = "send the header 'Authorization: Bearer TOKEN'"
            return RefusedError(401, "the token is missing or wrong", fix)
        return None

    def _has_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        expected = f"Bearer {self.token}".encode()
        return hmac.compare_digest(_header(headers, b"authorization"), expected)


def error_response(error: SpecloomError, parts: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that is refused, or failed.

    Args:
        error: Why.
        parts: Its parts as the answer shows them, where they are not those of the error.
    """
    status = status_of(error)
    if parts is None:
        parts = {"what": error.what, "where": error.where, "fix": error.fix}
        parts = {name: printable(text) for name, text in parts.items()}
    headers = {"connection": "close"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 503:
        headers["retry-after"] = "1"
    body: dict[str, Any] = {"error": parts}
    return Response(json_bytes(body), status, headers, "application/json")


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The first value of a header; empty where there is none."""
    for known, value in headers:
        if known == name:
            return value
    return b""


def _host(value: bytes) -> str:
    """The name in a header ``Host``, without the port."""
    text = value.decode("latin-1").lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]
