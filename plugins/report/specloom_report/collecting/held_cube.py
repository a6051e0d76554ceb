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
    """The cubes of one batch, or every few rows and columns of them.

    Args:
        values: The rows and columns that are held, (B, h, w, C), of any array library.
        shape: The shape of the whole, (B, H, W, C).
        step: One row and column in so many is held.
    """

    def __init__(self, values: Any, shape: Sequence[int], step: int) -> None:
        self._values = values
        self.shape = tuple(shape)
        self.step = step

    @property
    def image_bytes(self) -> int:
        """The bytes that are held of one image."""
        return int(getattr(self._values, "nbytes", 0)) // len(self._values)

    def copy_image(self, image: int) -> HeldCube:
        """Return a copy of one image, as cubes of a batch of one."""
        values = to_numpy(self._values[image : image + 1]).copy()
        return HeldCube(values, (1, *self.shape[1:]), self.step)

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


def hold(cube: Any, max_bytes: int = MAX_BYTES) -> HeldCube:
    """Hold the cubes of a batch (B, H, W, C), without a copy where they are small enough."""
    whole = detach(cube)
    step = held_step(int(getattr(whole, "nbytes", 0)), max_bytes)
    if step == 1:
        return HeldCube(whole, whole.shape, 1)
    # The sum is a copy, so that the memory of the whole is free.
    return HeldCube(whole[:, ::step, ::step] + 0, whole.shape, step)


def held_step(size: int, max_bytes: int = MAX_BYTES) -> int:
    """Return which rows and columns of so many bytes are held: all, every second, ...

    >>> held_step(100, 100), held_step(101, 100), held_step(401, 100)
    (1, 2, 3)
    """
    return max(1, math.ceil(math.sqrt(size / max_bytes)))
