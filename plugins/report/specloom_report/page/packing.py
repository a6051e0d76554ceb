"""Arrays within a page: one compressed block, and where in it each array is."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 4
TYPES = {"uint8": "u1", "float32": "f4", "int32": "i4"}


class Block:
    """Arrays of uint8, int32 and float32, one after the other, little-endian."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: NDArray[Any]) -> dict[str, Any]:
        """Add an array, and return where it is, its type and its shape."""
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
        start = self._size
        padding = bytes(-len(data) % ALIGNMENT)
        self._parts += [data, padding]
        self._size += len(data) + len(padding)
        return {"at": start, "type": TYPES[values.dtype.name], "shape": list(values.shape)}

    def text(self) -> str:
        """Return all of it, compressed by deflate (zlib), in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode()


def packed_size(values: NDArray[Any]) -> int:
    """Return how many bytes an array takes on the page before base64, about."""
    return len(zlib.compress(np.ascontiguousarray(values).tobytes(), 6))
