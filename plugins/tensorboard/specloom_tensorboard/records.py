"""TFRecord, the framing of TensorBoard's files: each record with its length and two checksums.

TensorBoard's own writer and reader compute the checksum byte by byte in Python: 230 ms for a
megabyte, which is felt with pictures in every epoch, where google-crc32c (a wheel of 37 kB, which
imports in 1 ms and depends on nothing) takes 0.08 ms. What remains to be written here is the
framing of a record.
"""

from collections.abc import Iterator
from pathlib import Path

import google_crc32c

HEADER = 12  # bytes: the length of the data, and its checksum
MASK = 0xA282EAD8


def record(data: bytes) -> bytes:
    """One record that holds ``data``."""
    length = len(data).to_bytes(8, "little")
    return length + _checksum(length) + data + _checksum(data)


def records(path: Path) -> Iterator[bytes]:
    """What the records of a file hold; one that was cut off by a crash ends it."""
    with path.open("rb") as file:
        while True:
            header = file.read(HEADER)
            length = header[:8]
            if len(header) < HEADER or header[8:] != _checksum(length):
                return
            size = int.from_bytes(length, "little")
            data = file.read(size)
            if len(data) < size or len(file.read(4)) < 4:
                return
            yield data


def _checksum(data: bytes) -> bytes:
    """The CRC-32C of some bytes (RFC 3720, section 12.1), rotated and offset as TFRecord does."""
    crc: int = google_crc32c.value(data)
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    return ((rotated + MASK) & 0xFFFFFFFF).to_bytes(4, "little")
