"""HTTP/1.1 whose bodies are received where the application wants them, without copies between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from specloom_serve.npy_body import RECEIVE_INTO

READ_BYTES = 65_536
"""The bytes that a connection reads at a time, except in ``receive_into``."""


@dataclass
class _Filling:
    """A buffer that is being filled.

    Args:
        buffer: The buffer.
        count: The bytes that it holds.
        ended: Done when it is full, or nothing more will arrive.
    """

    buffer: memoryview
    count: int
    ended: asyncio.Future[None]

    def end(self) -> None:
        """Let the application go on."""
        if not self.ended.done():
            self.ended.set_result(None)


class DirectProtocol(H11Protocol, asyncio.BufferedProtocol):
    """The protocol of uvicorn, with ``receive_into`` for the body of a request.

    h11 and uvicorn copy each byte of a body five times, in chunks between which the application
    runs. What ``receive_into`` receives does not pass them: the system writes it into the buffer.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app_state = {**self.app_state, RECEIVE_INTO: self.receive_into}
        self._read_buffer = memoryview(bytearray(READ_BYTES))
        self._filling: _Filling | None = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes of the connection go."""
        if self._filling is None:
            return self._read_buffer
        return self._filling.buffer[self._filling.count :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes that arrived."""
        filling = self._filling
        if filling is None:
            self.data_received(bytes(self._read_buffer[:nbytes]))
            return
        filling.count += nbytes
        self._skip(nbytes)
        if filling.count == len(filling.buffer):
            self._filling = None
            filling.end()
            self.handle_events()  # h11 says that the message has ended, where it has

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.app_state = {}  # which refers to this object
        if self._filling is not None:
            self._filling.end()

    async def receive_into(self, buffer: memoryview) -> int:
        """Receive the next bytes of the body of the current request.

        Args:
            buffer: Where they go.

        Returns:
            How many were received: fewer than fit where the body is shorter or of no stated length,
            or where the client has gone away. ``receive`` of ASGI has what follows.
        """
        count = self._take_arrived(buffer)
        missing = len(buffer) - count
        if not missing or self._expected() < missing or self.cycle.disconnected:
            return count
        filling = _Filling(buffer, count, self.loop.create_future())
        self._filling = filling
        self.flow.resume_reading()
        try:
            await filling.ended
        finally:
            self._filling = None
        return filling.count

    def _take_arrived(self, buffer: memoryview) -> int:
        """Move what arrived of the body into a buffer; the number of bytes."""
        arrived = self.cycle.body
        count = min(len(arrived), len(buffer))
        buffer[:count] = memoryview(arrived)[:count]
        self.cycle.body = arrived[count:]
        return count

    def _expected(self) -> int:
        """The bytes of the body that h11 waits for; 0 where it does not know."""
        return int(vars(self.conn._reader).get("_remaining", 0))

    def _skip(self, count: int) -> None:
        """Let h11 wait for fewer bytes of the body."""
        reader: Any = self.conn._reader
        reader._remaining -= count
