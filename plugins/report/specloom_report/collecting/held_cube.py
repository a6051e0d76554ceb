"""The cubes of a batch, held until its decisions are known, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_report.collecting.arrays import detach, to_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_BYTES = 256 << 20
"""Of larger cubes only every second, third, … row and column is held."""


class HeldCube:
    """The cubes of one batch (B, H, W, C), without a copy where they are small.

    Args:
        cube: The cubes, of any array library.
        max_bytes: The bytes that may be held.
    """

    def __init__(self, cube: Any, max_bytes: int = MAX_BYTES) -> None:
        whole = detach(cube)
        size = int(getattr(whole, "nbytes", 0))
        #: One row and column in so many is held.
        self.step = max(1, math.ceil(math.sqrt(size / max_bytes)))
        self.shape = tuple(whole.shape)
        self._values = whole
        if self.step > 1:
            # The sum is a copy, so that the memory of the whole is free.
            self._values = whole[:, :: self.step, :: self.step] + 0

    def gather(self, image: int, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
        """Return the spectra (n, C) of those pixels of one image that are held."""
        held = (rows % self.step == 0) & (columns % self.step == 0)
        values = self._values[image]
        return to_numpy(values[rows[held] // self.step, columns[held] // self.step])

    def colours(self, image: int, step: int, bands: Sequence[int]) -> NDArray[Any]:
        """Return three bands of every ``step``-th row and column, a multiple of its own step."""
        own = step // self.step
        small = self._values[image, ::own, ::own]
        return np.stack([to_numpy(small[..., band]) for band in bands], -1)
