"""Minimum and maximum of pixels, in one pass over memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from specloom.torch import map_blocks, no_memory, usable_pixels
from specloom_statistics.native import native_kernels

NATIVE_TYPES = (torch.float32, torch.float64)

# Values at a time, so that excluding rows needs little memory.
BLOCK_VALUES = 1 << 20
GPU_BLOCK_VALUES = 1 << 22
# Kernels need no memory for excluded rows; what calls take is little beside reading 32 MB.
NATIVE_BLOCK_VALUES = 1 << 23
# Columns are compared with this many rows side by side, and so many of those in turn: narrow rows
# would leave most of a vector register idle, and long columns leave the cache.
ABREAST = 256
DEEP = 8


class Extremes(NamedTuple):
    """Smallest and largest value of some rows."""

    low: Tensor
    """(C,) or ()."""
    high: Tensor
    """(C,) or ()."""
    size: int
    """The number of rows."""


class RunningExtremes:
    """Smallest and largest value of rows that arrive in batches, in float64.

    Rows that are not finite in every column are excluded and counted. Without a usable row the
    extremes are +inf and -inf.

    Args:
        channels: C, the length of a row.
        device: The device of the extremes.
        per_channel: One pair for each column, (C,), or one for all, ().
    """

    def __init__(
        self, channels: int, device: torch.device | str = "cpu", *, per_channel: bool = True
    ) -> None:
        self.per_channel = per_channel
        self._count: int | Tensor = 0
        self._left_out: int | Tensor = 0
        self._may_wait = torch.device(device).type == "cpu"
        shape = (channels,) if per_channel else ()
        self.low = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
        self.high = -self.low

    @property
    def count(self) -> int:
        """How many rows were added."""
        return int(self._count)

    @property
    def left_out(self) -> int:
        """How many rows were excluded."""
        return int(self._left_out)

    def update(self, rows: Tensor, keep: Tensor | None = None) -> None:
        """Add ``rows`` (N, C).

        Args:
            rows: The pixels, of any real type.
            keep: The rows to use, bool (N,); None for all.
        """
        rows = rows.detach()
        size, columns = rows.shape
        if not self._may_wait:
            for part in _parts(size, columns, GPU_BLOCK_VALUES):
                self._add_without_waiting(rows[part], None if keep is None else keep[part])
            return
        if keep is not None and bool(keep.all()):
            keep = None
        kernels = None
        if rows.dtype in NATIVE_TYPES:
            kernels = native_kernels(rows.device)
        parts = _parts(size, columns, BLOCK_VALUES if kernels is None else NATIVE_BLOCK_VALUES)

        def extremes_of(number: int, _: None) -> Extremes | None:
            part = parts[number]
            mask = None if keep is None else keep[part]
            if kernels is None:
                return self._part_extremes(rows[part], mask)
            return self._native_extremes(kernels, rows[part], mask)

        before = self._count
        for found in map_blocks(extremes_of, len(parts), no_memory):
            if found is not None:
                self._combine(*found)
        self._left_out = self._left_out + size - (self._count - before)

    def _add_without_waiting(self, rows: Tensor, keep: Tensor | None) -> None:
        """Add the usable ones of some rows, without a result that the host would wait for."""
        usable = usable_pixels(rows)
        if keep is not None:
            usable = usable & keep
        values = rows.to(self.low.dtype)
        low = values.masked_fill(~usable[:, None], torch.inf)
        high = values.masked_fill(~usable[:, None], -torch.inf)
        count = usable.sum()
        if self.per_channel:
            self._combine(low.amin(0), high.amax(0), count)
        else:
            self._combine(low.amin(), high.amax(), count)
        self._left_out = self._left_out + (len(rows) - count)

    def _part_extremes(self, rows: Tensor, keep: Tensor | None) -> Extremes | None:
        """The extremes of the usable rows; None where there is none."""
        if keep is not None:
            rows = rows[keep]
        if not len(rows):
            return None
        low, high = block_extremes(rows, per_channel=self.per_channel)
        if not bool((low.isfinite() & high.isfinite()).all()):
            rows = rows[usable_pixels(rows)]
            if not len(rows):
                return None
            low, high = block_extremes(rows, per_channel=self.per_channel)
        return Extremes(low, high, len(rows))

    def _native_extremes(
        self, kernels: ModuleType, rows: Tensor, keep: Tensor | None
    ) -> Extremes | None:
        """The extremes of the usable rows by a kernel; None where there is none."""
        if not self.per_channel and keep is None and rows.is_contiguous():
            limits = kernels.value_range(rows)
            if limits is not None:
                low, high = limits
                return Extremes(low, high, len(rows)) if len(rows) else None
        low, high, used = kernels.extremes(rows, keep)
        if not used:
            return None
        if not self.per_channel:
            low = low.amin()
            high = high.amax()
        return Extremes(low, high, used)

    def _combine(self, low: Tensor, high: Tensor, count: int | Tensor) -> None:
        self.low = torch.minimum(self.low, low.to(self.low))
        self.high = torch.maximum(self.high, high.to(self.high))
        self._count = self._count + count

    def state(self) -> dict[str, Tensor]:
        """Extremes and counts so far, in float64."""
        counts = torch.tensor([self.count, self.left_out], dtype=torch.float64)
        return {"low": self.low, "high": self.high, "counts": counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        count, left_out = (int(number) for number in state["counts"].tolist())
        self._combine(state["low"], state["high"], count)
        self._left_out = self._left_out + left_out


def _parts(count: int, columns: int, values: int) -> list[slice]:
    """The rows to take at a time, of about so many values."""
    side_by_side = ABREAST * DEEP
    step = max(values // columns // side_by_side, 1) * side_by_side
    return [slice(start, start + step) for start in range(0, count, step)]


def block_extremes(rows: Tensor, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of ``rows`` (N, C), (C,) or (); NaN where there is one."""
    if not per_channel:
        low, high = torch.aminmax(rows)
        return low, high
    channels = rows.shape[1]
    whole = len(rows) - len(rows) % (ABREAST * DEEP)
    if not whole:
        return rows.amin(0), rows.amax(0)
    wide = rows[:whole].reshape(-1, DEEP, ABREAST * channels)
    rest = rows[whole:]
    low = wide.amin(1).amin(0).view(-1, channels)
    high = wide.amax(1).amax(0).view(-1, channels)
    return torch.cat([low, rest]).amin(0), torch.cat([high, rest]).amax(0)
