"""The cube in the bytes of a PredictRequest, put in and cut out with one copy.

protobuf copies the bytes of a field when it is set, written, read and looked at. What is written
and read here is its wire format, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_serve.protocol import service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CUBE = pb.PredictRequest.DESCRIPTOR.oneofs_by_name["cube"]
ARRAY = pb.PredictRequest.ARRAY_FIELD_NUMBER
DATA = pb.Array.DATA_FIELD_NUMBER

OTHER_CUBES = frozenset(field.number for field in CUBE.fields) - {ARRAY}
"""The fields of which one takes the place of an array."""

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""The wire types of fields."""

FIELDS = 32
"""How many fields of a message are looked at."""

VARINT_BYTES = 10
"""The bytes of the longest number."""


@dataclass(frozen=True)
class _Field:
    """Where a field lies in a message.

    Args:
        number: Its number.
        wire_type: How its value is written.
        start: Where it begins.
        content: Where its value begins.
        end: Where it ends.
    """

    number: int
    wire_type: int
    start: int
    content: int
    end: int


def request_bytes(request: pb.PredictRequest, cube: NDArray[Any]) -> bytes:
    """A request with an array.

    Args:
        request: The request without a cube.
        cube: The array, little-endian.
    """
    described = pb.Array(shape=cube.shape, dtype=cube.dtype.name).SerializeToString()
    numbers = np.ascontiguousarray(cube).reshape(-1).view(np.uint8)
    before_data = _start_of_bytes(DATA, numbers.size)
    size = len(described) + len(before_data) + numbers.size
    before_array = _start_of_bytes(ARRAY, size)
    rest = request.SerializeToString()
    return b"".join([rest, before_array, described, before_data, numbers.data])


def cut_out_data(message: bytes) -> tuple[bytes, memoryview | None]:
    """A request without the data of its array, and the data.

    Where the message is no request with one array and its data, it is returned as it is, without
    data, so that protobuf says what is wrong with it.
    """
    view = memoryview(message)
    try:
        array = _only(ARRAY, list(_fields(view)), OTHER_CUBES)
        content = view[array.content : array.end]
        data = _only(DATA, list(_fields(content)))
    except ValueError:
        return message, None
    rest = b"".join([content[: data.start], content[data.end :]])
    start = _start_of_bytes(ARRAY, len(rest))
    request = b"".join([view[: array.start], start, rest, view[array.end :]])
    return request, content[data.content : data.end]


def _only(number: int, fields: list[_Field], others: frozenset[int] = frozenset()) -> _Field:
    """The only field of a number.

    Raises:
        ValueError: There is none, are several, are ``others``, or its value is not bytes.
    """
    found = [field for field in fields if field.number == number]
    if len(found) != 1 or found[0].wire_type != BYTES:
        raise ValueError(f"not one field {number} of bytes")
    if any(field.number in others for field in fields):
        raise ValueError(f"fields next to {number}")
    return found[0]


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message.

    Raises:
        ValueError: There are more than ``FIELDS``, or it is malformed.
    """
    place = 0
    count = 0
    while place < len(message):
        count += 1
        if count > FIELDS:
            raise ValueError(f"more than {FIELDS} fields")
        start = place
        key, place = _number_at(message, place)
        content, end = _content(message, key & 7, place)
        if end > len(message):
            raise ValueError("a field ends behind its message")
        yield _Field(key >> 3, key & 7, start, content, end)
        place = end


def _content(message: memoryview, wire_type: int, place: int) -> tuple[int, int]:
    """Where the value of a field begins and ends.

    Raises:
        ValueError: It is of a type that is not read, or malformed.
    """
    if wire_type == VARINT:
        return place, _number_at(message, place)[1]
    if wire_type == FIXED_64:
        return place, place + 8
    if wire_type == FIXED_32:
        return place, place + 4
    if wire_type == BYTES:
        size, content = _number_at(message, place)
        return content, content + size
    raise ValueError(f"wire type {wire_type}")


def _number_at(message: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, and where it ends.

    Raises:
        ValueError: It is longer than may be, or than the message.
    """
    value = 0
    for shift, byte in enumerate(message[place : place + VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise ValueError("a number without an end")


def _start_of_bytes(number: int, size: int) -> bytes:
    """What precedes the bytes of a field."""
    return _number_bytes(number << 3 | BYTES) + _number_bytes(size)


def _number_bytes(value: int) -> bytes:
    """A number with seven bits in each byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
