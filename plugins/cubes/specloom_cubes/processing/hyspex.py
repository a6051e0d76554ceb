"""The binary header of HySpex files: the dark that the camera recorded before the image.

The places of its fields are as N. E. O.'s own reader has them: little-endian, the arrays of the
background behind those of wavelengths, quantum efficiency and responsivity, bands first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = b"HYSPEX"
SPECTRAL_SIZE = 1961
SPATIAL_SIZE = 1965
INTEGRATION_TIME = 1977
BACKGROUND_PRESENT = 2009
ARRAYS = 2181
"""Where the arrays begin: wavelengths, quantum efficiency, responsivity, background."""


class Background(NamedTuple):
    """What the binary header of a HySpex file says of its dark.

    Args:
        counts: The mean dark, float64 (W, C).
        exposure: The exposure time of image and dark in microseconds.
    """

    counts: NDArray[np.float64]
    exposure: float


def is_hyspex(path: Path) -> bool:
    """Whether a file begins as HySpex files do."""
    try:
        with path.open("rb") as file:
            return file.read(len(WORD)).upper() == WORD
    except OSError:
        return False


def read_background(path: Path) -> Background | None:
    """The dark in the header of a HySpex file; None where it has none.

    Raises:
        DataError: The file is shorter than its header says.
    """
    with path.open("rb") as file:
        head = file.read(ARRAYS)
        if len(head) < ARRAYS:
            raise _too_short(path)
        bands = _number(head, SPECTRAL_SIZE)
        columns = _number(head, SPATIAL_SIZE)
        if not _number(head, BACKGROUND_PRESENT) or not bands or not columns:
            return None
        values = bands * columns
        needed = ARRAYS + 8 * (2 * bands + 2 * values)
        if path.stat().st_size < needed:
            raise _too_short(path)
        file.seek(needed - 8 * values)
        counts = np.frombuffer(file.read(8 * values), "<f8").reshape(bands, columns)
    return Background(counts.T.astype(np.float64), float(_number(head, INTEGRATION_TIME)))


def _number(head: bytes, place: int) -> int:
    return int.from_bytes(head[place : place + 4], "little")


def _too_short(path: Path) -> DataError:
    return DataError(
        f"{path} is shorter than its binary header says", fix="copy the file from the camera again"
    )
