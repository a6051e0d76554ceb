"""Minimum and maximum of pixels, in one pass over memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_statistics.blocks import row_blocks

# Values at a time, so that excluding rows needs little memory.
BLOCK_VALUES = 1 << 22
# Columns are compared with this many rows side by side, and so many of those in turn: narrow rows
# would leave most of a vector register idle, and long columns leave the cache.
ABREAST = 256
DEEP = 8


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
        self.count = 0
        self.left_out = 0
        shape = (channels,) if per_channel else ()
        self.low = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
        self.high = -self.low

    def update(self, rows: Tensor, keep: Tensor | None = None) -> None:
        """Add ``rows`` (N, C).

        Args:
            rows: The pixels, of any real type.
            keep: The rows to use, bool (N,); None for all.
        """
        before = self.count
        rows = rows.detach()
        if keep is not None and bool(keep.all()):
            keep = None
        if not (keep is None and self._add_whole(rows)):
            self._add_blocks(rows, keep)
        self.left_out += len(rows) - (self.count - before)

    def _add_whole(self, rows: Tensor) -> bool:
        """Add all rows in one operation, as fast as memory is read; False if that is not possible.

        It is where there is one pair of extremes and every value is finite.
        """
        if self.per_channel or not len(rows):
            return False
        low, high = torch.aminmax(rows)
        if not bool(low.isfinite() & high.isfinite()):
            return False
        self._combine(low, high, len(rows))
        return True

    def _add_blocks(self, rows: Tensor, keep: Tensor | None) -> None:
        side_by_side = ABREAST * DEEP
        block = max(BLOCK_VALUES // rows.shape[1] // side_by_side, 1) * side_by_side
        for selected, _ in row_blocks(rows, block, keep):
            if not len(selected):
                continue
            low, high = block_extremes(selected, per_channel=self.per_channel)
            if not bool((low.isfinite() & high.isfinite()).all()):
                selected = selected[usable_pixels(selected)]
                if not len(selected):
                    continue
                low, high = block_extremes(selected, per_channel=self.per_channel)
            self._combine(low, high, len(selected))

    def _combine(self, low: Tensor, high: Tensor, count: int) -> None:
        self.low = torch.minimum(self.low, low.to(self.low))
        self.high = torch.maximum(self.high, high.to(self.high))
        self.count += count

    def state(self) -> dict[str, Tensor]:
        """Extremes and counts so far, in float64."""
        counts = torch.tensor([self.count, self.left_out], dtype=torch.float64)
        return {"low": self.low, "high": self.high, "counts": counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        count, left_out = (int(number) for number in state["counts"].tolist())
        self._combine(state["low"], state["high"], count)
        self.left_out += left_out


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
