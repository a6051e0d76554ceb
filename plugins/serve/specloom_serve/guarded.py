"""HTTP/1.1 on connections that are closed where a client does not go on."""

from __future__ import annotations

import asyncio
from typing import Any

from specloom_serve.direct_body import DirectProtocol


class GuardedProtocol(DirectProtocol):
    """The protocol of uvicorn, with limits on the times that it waits for without end.

    Headers must arrive within ``header_seconds`` of the connection, or of their first byte on one
    that is used again. Where a client reads nothing of an answer for ``answer_seconds``, the
    connection is cut, and the answer forgotten.
    """

    header_seconds = 10.0
    answer_seconds = 60.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        """Wait for the first request."""
        super().connection_made(transport)
        self._headers_timer = self.loop.call_later(self.header_seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        super().data_received(data)
        if self._is_answering():
            self._stop_headers_timer()
        elif self._headers_timer is None:
            abort = self.transport.abort
            self._headers_timer = self.loop.call_later(self.header_seconds, abort)

    def on_response_complete(self) -> None:
        """Wait for the next request, whose headers may have arrived in part."""
        super().on_response_complete()
        self._stop_headers_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_headers_timer()
        self._stop_answer_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait until the client reads."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(self.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, as the client reads."""
        self._stop_answer_timer()
        super().resume_writing()

    def _is_answering(self) -> bool:
        """Whether the headers of a request are there, and its answer is not."""
        return self.cycle is not None and not self.cycle.response_complete

    def _stop_headers_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
