"""Forms with files (multipart/form-data), read part by part as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from email.message import Message
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from specloom_serve.errors import RefusedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_BOUNDARY = 70
"""The characters of a boundary, by RFC 2046."""

SEND = "send the files 'header' and 'data' of ENVI, or 'cube' and 'valid' as NPY"

BEGIN, DATA, END = "begin", "data", "end"
"""What happens in a form."""


class Form:
    """A form as it arrives.

    Args:
        chunks: The body.
        content_type: Its type, which names the boundary between parts.

    Raises:
        RefusedError: There is no boundary, or it is too long.
    """

    def __init__(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        message = Message()
        message["content-type"] = content_type
        boundary = message.get_param("boundary", "")
        if not isinstance(boundary, str) or not 0 < len(boundary) <= MOST_BOUNDARY:
            raise RefusedError(400, "the form has no boundary between its parts", SEND)
        self._chunks = chunks
        self._events: deque[tuple[str, bytes]] = deque()
        self._field = b""
        self._value = b""
        self._disposition = b""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
        }
        self._parser = MultipartParser(boundary.encode("latin-1", "replace"), callbacks)

    async def names(self) -> AsyncIterator[str]:
        """The name of each part; its data must be read before the next one.

        Raises:
            RefusedError: The form is damaged, or a part has no name.
        """
        while True:
            event = await self._next_event()
            if event is None:
                return
            message = Message()
            message["content-disposition"] = event[1].decode("latin-1")
            name = message.get_param("name", "", "content-disposition")
            if not isinstance(name, str) or not name:
                raise RefusedError(400, "a part of the form has no name", SEND)
            yield name

    async def data(self) -> AsyncIterator[bytes]:
        """The data of the part.

        Raises:
            RefusedError: The form is damaged, or ends within the part.
        """
        while True:
            event = await self._next_event()
            if event is None:
                raise RefusedError(400, "the form ends within a part", SEND)
            if event[0] == END:
                return
            yield event[1]

    async def _next_event(self) -> tuple[str, bytes] | None:
        """What happens next; None at the end of the body.

        Raises:
            RefusedError: The form is damaged.
        """
        while not self._events:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return None
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise RefusedError(400, "the form is damaged", SEND) from None
        return self._events.popleft()

    def _begin(self) -> None:
        self._disposition = b""
        self._field = b""
        self._value = b""

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = b""
        self._value = b""

    def _end_headers(self) -> None:
        self._events.append((BEGIN, self._disposition))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append((DATA, data[start:end]))

    def _end(self) -> None:
        self._events.append((END, b""))
