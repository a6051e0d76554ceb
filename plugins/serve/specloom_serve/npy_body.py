"""Cubes in the bodies of requests: NPY, checked before memory is taken for the pixels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import prod
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom_serve.errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_serve.settings import Limits

Chunks = AsyncIterator[bytes]
ReceiveInto: TypeAlias = Callable[[memoryview], Awaitable[int]]

RECEIVE_INTO = "specloom.receive_into"
"""The key in the state of a request of what receives its body into a buffer, without chunks."""

MAGIC = b"\x93NUMPY"

MAGIC_BYTES = 8
"""The magic string of NPY and its version."""

LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
"""The bytes that hold the length of the header, by version of NPY."""

HEADER_BYTES = 4096
"""The longest header of an NPY file that is read."""

HEADERS = 16
"""How many headers are remembered with what they say."""

SAVE = "send what numpy.save writes of an array (rows, columns, bands)"
UNREADABLE = (
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    RecursionError,
    MemoryError,
    TokenError,
)
"""What NumPy raises of a damaged header, which it parses as Python."""

KINDS = "send one of float32, float64, float16, int8 to int64, uint8 to uint64, little-endian"


MASK = "send what numpy.save writes of an array of bool (rows, columns)"


@dataclass(frozen=True)
class Layout:
    """What the header of an NPY file says.

    Args:
        shape: Rows and columns, and bands of a cube.
        dtype: The type of the numbers.
        is_fortran: Whether the first axis varies fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool

    @property
    def nbytes(self) -> int:
        """The bytes of the pixels."""
        return prod(self.shape) * self.dtype.itemsize

    def array(self, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """The array that a buffer of its bytes holds, without a copy but for masks."""
        values = buffer.view(self.dtype)
        if self.dtype == np.bool_:
            values = buffer != 0  # a byte that is neither 0 nor 1 is no bool of NumPy
        if self.is_fortran:
            return values.reshape(self.shape[::-1]).T
        return values.reshape(self.shape)


CheckLayout: TypeAlias = Callable[[Layout, "Limits"], None]


class _Reader:
    """Bytes of a body, as many at a time as are wanted.

    Args:
        chunks: The body as it arrives.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    async def read(self, count: int, part: str) -> bytes:
        """The next ``count`` bytes.

        Raises:
            RefusedError: The body ends before.
        """
        buffer = bytearray(count)
        await self.fill(memoryview(buffer), part)
        return bytes(buffer)

    async def fill(
        self, buffer: memoryview, part: str, receive_into: ReceiveInto | None = None
    ) -> None:
        """Fill a buffer with the next bytes.

        Args:
            buffer: The buffer.
            part: What a message calls them.
            receive_into: Receives them without chunks; None where that is not possible.

        Raises:
            RefusedError: The body ends before.
        """
        done = min(len(self._rest), len(buffer))
        buffer[:done] = self._rest[:done]
        self._rest = self._rest[done:]
        if receive_into is not None:
            done += await receive_into(buffer[done:])
        while done < len(buffer):
            if not self._rest:
                self._rest = await self._next(len(buffer), done, part)
            step = min(len(self._rest), len(buffer) - done)
            buffer[done : done + step] = self._rest[:step]
            self._rest = self._rest[step:]
            done += step

    async def finish(self) -> None:
        """Check that nothing follows.

        Raises:
            RefusedError: Bytes follow.
        """
        more = bool(self._rest)
        while not more:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return
            more = bool(chunk)
        raise RefusedError(400, "the body is longer than its NPY header says", SAVE)

    async def _next(self, wanted: int, done: int, part: str) -> memoryview:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            what = f"the body ends after {done} of {wanted} bytes of {part}"
            raise RefusedError(400, what, SAVE)
        return memoryview(chunk)


async def receive_cube(
    chunks: Chunks,
    stated: int | None,
    limits: Limits,
    receive_into: ReceiveInto | None = None,
) -> NDArray[Any]:
    """The cube (H, W, C) of a body.

    Args:
        chunks: The body as it arrives.
        stated: The length that the request states; None for none.
        limits: The limits.
        receive_into: As for ``read_array``.

    Raises:
        RefusedError: It is no NPY file with such an array, too large, or late.
    """
    async with in_time(limits.body_seconds):
        return await read_array(chunks, stated, check_cube, limits, receive_into)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """A context in which a body must arrive.

    Raises:
        RefusedError: It did not.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        what = f"the body did not arrive within {seconds:g} s"
        raise RefusedError(408, what, "send a smaller cube, or over a faster line") from None


async def read_array(
    chunks: Chunks,
    stated: int | None,
    check: CheckLayout,
    limits: Limits,
    receive_into: ReceiveInto | None = None,
) -> NDArray[Any]:
    """An array in the format NPY.

    Args:
        chunks: The file as it arrives.
        stated: Its length, where the request states it.
        check: Accepts what its header says, before memory is taken for the numbers.
        limits: The limits.
        receive_into: Receives the numbers of the file without ``chunks``, as far as it can; None
            where the server has no such way.

    Raises:
        RefusedError: It is no NPY file, of another length, or not accepted.
    """
    reader = _Reader(chunks)
    start = await reader.read(MAGIC_BYTES, "the start of an NPY file")
    if start[:6] != MAGIC or start[6] not in LENGTH_BYTES:
        raise RefusedError(400, "the body is no NPY file", SAVE)
    length_bytes = await reader.read(LENGTH_BYTES[start[6]], "the NPY header")
    length = int.from_bytes(length_bytes, "little")
    if length > HEADER_BYTES:
        what = f"the NPY header has {length} bytes, where {HEADER_BYTES} may be"
        raise RefusedError(400, what, SAVE)
    header = await reader.read(length, "the NPY header")
    layout = _layout(start, length_bytes + header)
    check(layout, limits)
    total = MAGIC_BYTES + len(length_bytes) + length + layout.nbytes
    if stated is not None and stated != total:
        what = f"the body has {stated} bytes, its NPY header says {total}"
        raise RefusedError(400, what, SAVE)
    buffer = np.empty(layout.nbytes, np.uint8)
    await reader.fill(buffer.data, "pixels", receive_into)
    await reader.finish()
    return layout.array(buffer)


@lru_cache(HEADERS)
def _layout(start: bytes, rest: bytes) -> Layout:
    """What a header says, which NumPy parses as Python.

    Raises:
        RefusedError: It is damaged, or of something else than a cube of numbers.
    """
    file = BytesIO(rest)
    try:
        if start[6] == 1:
            found = np.lib.format.read_array_header_1_0(file, HEADER_BYTES)
        else:
            found = np.lib.format.read_array_header_2_0(file, HEADER_BYTES)
    except UNREADABLE:
        raise RefusedError(400, "the NPY header is damaged", SAVE) from None
    shape, is_fortran, dtype = found
    return Layout(shape, dtype, is_fortran)


def check_cube(layout: Layout, limits: Limits) -> None:
    """Accept a cube of real numbers within the limits.

    Raises:
        RefusedError: It is something else, or larger.
    """
    dtype = layout.dtype
    if dtype.kind not in "fiu" or dtype.itemsize > 8 or not dtype.isnative:
        what = f"the array is of type {_name(dtype)}, which is not read"
        raise RefusedError(415, what, KINDS)
    shape = layout.shape
    if len(shape) != 3 or not all(size > 0 for size in shape):
        what = f"the array has the shape {shape}, where (H, W, C) with pixels is needed"
        raise RefusedError(400, what, SAVE)
    check_shape(shape, limits)
    if layout.nbytes > limits.body_bytes:
        what = f"the cube has {layout.nbytes} bytes, where {limits.body_bytes} may be"
        raise RefusedError(413, what, "send a smaller cube, or a path below the root")


def check_mask(layout: Layout, limits: Limits) -> None:
    """Accept a mask of pixels within the limits.

    Raises:
        RefusedError: It is something else, or larger.
    """
    if layout.dtype != np.bool_:
        what = f"the mask 'valid' is of type {_name(layout.dtype)}, not bool"
        raise RefusedError(415, what, MASK)
    if len(layout.shape) != 2 or not all(size > 0 for size in layout.shape):
        what = f"the mask 'valid' has the shape {layout.shape}, where (H, W) is needed"
        raise RefusedError(400, what, MASK)
    check_pixels(prod(layout.shape), limits)


def npy_parts(values: Any) -> list[bytes | memoryview]:
    """What ``numpy.save`` writes of an array of numbers: the header, and the numbers uncopied.

    Raises:
        ValueError: The array holds objects.
    """
    array = np.asarray(values)
    file = BytesIO()
    if not array.flags.c_contiguous or array.dtype.kind not in "fiub":
        np.save(file, array, allow_pickle=False)
        return [file.getvalue()]
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    numbers = array.reshape(-1).view(np.uint8)
    return [file.getvalue(), numbers.data]


def npy_bytes(values: Any) -> bytes:
    """What ``numpy.save`` writes of an array of numbers, with one copy of them.

    Raises:
        ValueError: The array holds objects.
    """
    return b"".join(npy_parts(values))


def npy_array(file: NDArray[np.uint8]) -> NDArray[Any]:
    """The array of an NPY file: a view of it, or a copy where its numbers are not aligned.

    Raises:
        ValueError: The file is damaged, or of something else than numbers.
    """
    start = file[:MAGIC_BYTES].tobytes()
    if start[:6] != MAGIC or start[6] not in LENGTH_BYTES:
        raise ValueError("it begins as no NPY file")
    begin = MAGIC_BYTES + LENGTH_BYTES[start[6]]
    length = int.from_bytes(file[MAGIC_BYTES:begin].tobytes(), "little")
    try:
        layout = _layout(start, file[MAGIC_BYTES : begin + length].tobytes())
    except RefusedError as error:
        raise ValueError(error.what) from error
    numbers = file[begin + length :]
    if layout.dtype.hasobject or numbers.size != layout.nbytes:
        raise ValueError(f"the NPY file has {numbers.size} bytes of numbers")
    if numbers.ctypes.data % layout.dtype.alignment:
        numbers = numbers.copy()
    return layout.array(numbers)


def _name(dtype: np.dtype[Any]) -> str:
    """What a message calls a type; one with fields may be long."""
    if dtype.fields is not None:
        return "record"
    if dtype.isnative:
        return dtype.name
    return f"big-endian {dtype.name}"


def check_shape(shape: tuple[int, ...], limits: Limits) -> None:
    """Accept as many pixels and bands as may be.

    Raises:
        RefusedError: There are more.
    """
    check_pixels(shape[0] * shape[1], limits)
    if shape[2] > limits.bands:
        what = f"the cube has {shape[2]} bands, where {limits.bands} may be"
        raise RefusedError(413, what, "send rows, columns and bands, in this order")


def check_pixels(pixels: int, limits: Limits) -> None:
    """Accept as many pixels as may be.

    Raises:
        RefusedError: There are more.
    """
    if pixels > limits.pixels:
        what = f"the cube has {pixels} pixels, where {limits.pixels} may be"
        raise RefusedError(413, what, "send it in parts")
