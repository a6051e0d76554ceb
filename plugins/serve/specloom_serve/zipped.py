"""The archive that holds all of an answer: ``result.json``, and every output as NPY."""

from __future__ import annotations

import io
import json
import zipfile
from struct import Struct
from typing import TYPE_CHECKING, Any

from specloom_serve.answers import Answer
from specloom_serve.npy_body import npy_array, npy_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

RESULT = "result.json"
"""The file that holds what the answer in JSON is."""

ENDING = ".npy"

ALIGNMENT = 64
"""Numbers begin at a multiple of this, counted from the start of the archive."""

LOCAL_HEADER = 30
"""The bytes before the name of a file in an archive."""

NAME_LENGTHS = 26
"""Where they have the lengths of the name and of the fields that follow it."""

FIELD_HEADER = Struct("<2H")
"""The start of a field that follows the name of a file: its kind and its length."""

PADDING = 0xD935
"""The kind of a field that only moves the file, as in packages of Android."""


def zip_bytes(result: bytes, arrays: Mapping[str, Any]) -> bytes:
    """An archive, not compressed.

    Args:
        result: The result as JSON.
        arrays: The outputs by name.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(RESULT, result)
        for name, value in arrays.items():
            parts = npy_parts(value)
            entry = zipfile.ZipInfo(f"{name}{ENDING}")
            entry.file_size = sum(memoryview(part).nbytes for part in parts)
            entry.extra = _padding(buffer.tell() + LOCAL_HEADER + len(entry.filename.encode()))
            with archive.open(entry, "w") as file:
                for part in parts:
                    file.write(part)
    return buffer.getvalue()


def unzip(archive: NDArray[np.uint8]) -> Answer:
    """The answer of an archive, whose arrays are views of it.

    Args:
        archive: The bytes of the archive, each file of which is not compressed.

    Raises:
        KeyError: It has no result.
        ValueError: It is no archive, or not of JSON and arrays.
    """
    files = {}
    try:
        with zipfile.ZipFile(_Bytes(archive)) as opened:
            for entry in opened.infolist():
                files[entry.filename] = _content(archive, entry)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    result = json.loads(files.pop(RESULT).tobytes())
    arrays = {name.removesuffix(ENDING): npy_array(file) for name, file in files.items()}
    return Answer(arrays, result)


def _content(archive: NDArray[np.uint8], entry: zipfile.ZipInfo) -> NDArray[np.uint8]:
    """The bytes of a file in an archive."""
    names = archive[entry.header_offset + NAME_LENGTHS : entry.header_offset + LOCAL_HEADER]
    start = entry.header_offset + LOCAL_HEADER + int(names.view("<u2").sum())
    return archive[start : start + entry.file_size]


class _Bytes(io.RawIOBase):
    """Bytes as a file, without a copy.

    Args:
        values: The bytes.
    """

    def __init__(self, values: NDArray[np.uint8]) -> None:
        self._view = values.data
        self._place = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether its place can be set."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the place, and return it."""
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._view)}
        self._place = max(0, bases[whence] + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes, and return their number."""
        part = self._view[self._place : self._place + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)


def _padding(start: int) -> bytes:
    """A field behind which bytes begin at a multiple of ``ALIGNMENT``.

    Args:
        start: Where the field begins.
    """
    size = -(start + FIELD_HEADER.size) % ALIGNMENT
    return FIELD_HEADER.pack(PADDING, size) + bytes(size)
