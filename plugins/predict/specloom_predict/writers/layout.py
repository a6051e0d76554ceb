"""Maps over an image as bands, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES = 1 << 24

UNJUDGED = 255
"""What stands in files of decisions, beside 0 and 1, for pixels that could not be assessed."""


@dataclass(frozen=True)
class Map:
    """A value for each pixel of an image.

    Args:
        name: Its name among the pipeline's outputs.
        values: (H, W) or (H, W, …); maybe mapped from a file.
        unjudged: Which pixels could not be assessed, bool (H, W); None where all were.
        names: What its bands are; empty where they have numbers alone.
    """

    name: str
    values: NDArray[Any]
    unjudged: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.values.shape[:2]
        return height, width

    @property
    def bands(self) -> NDArray[Any]:
        """The values as (H, W, K); K is 1 where there is one for each pixel."""
        return self.values.reshape(*self.size, -1)

    @property
    def decides(self) -> bool:
        """Whether the values are decisions."""
        return self.values.dtype.kind == "b"

    @property
    def band_names(self) -> list[str]:
        """The name of each band: the map's own, with a name or number where there are several."""
        count = self.bands.shape[2]
        if count == 1:
            return [self.name]
        if len(self.names) == count:
            return [f"{self.name} {band}" for band in self.names]
        return [f"{self.name} {band}" for band in range(count)]

    @property
    def file_dtype(self) -> np.dtype[Any]:
        """The element type in files: their formats have neither bool nor float16 nor int8."""
        replaced = {"bool": "uint8", "float16": "float32", "int8": "int16"}
        return np.dtype(replaced.get(self.values.dtype.name, self.values.dtype))

    def file_part(self, rows: slice, band: int) -> NDArray[Any]:
        """Some rows of a band as files have them, (h, W): in decisions, 255 is unjudged."""
        part = np.ascontiguousarray(self.bands[rows, :, band], self.file_dtype)
        if self.decides and self.unjudged is not None:
            part = part.copy()
            part[self.unjudged[rows]] = UNJUDGED
        return part

    @property
    def nodata(self) -> float | None:
        """The value in files of pixels that could not be assessed; None where there is none."""
        if self.decides:
            return UNJUDGED
        if self.file_dtype.kind == "f":
            return float("nan")
        return None


def row_blocks(height: int, row_bytes: int, multiple: int = 1) -> Iterator[slice]:
    """Rows in blocks of some megabytes; but for the last, each has a multiple of so many rows."""
    fitting = BLOCK_BYTES // max(row_bytes, 1)
    rows = max(multiple, fitting // multiple * multiple)
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))
