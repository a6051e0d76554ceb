"""Streaming variance of every band, in float64 and in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import LazyAffine

CPU_BLOCK, GPU_BLOCK, SAMPLE = 1024, 65536, 128


class Spread:
    """Count, mean and squared deviations of the bands of pixels that arrive in batches.

    Blocks are shifted by the median of the first pixels, values that occur, so that the variance
    of a constant band is exactly 0. Pixels that are not finite in every band, or not valid, are
    left out and counted.

    Source: T. Chan, G. Golub, R. LeVeque, The American Statistician 37(3), 1983, eq. 2.1.

    Args:
        channels: The number of bands.
        device: Where the sums are kept.
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        self.count, self.left_out = 0, 0
        block = CPU_BLOCK if torch.device(device).type == "cpu" else GPU_BLOCK
        self._buffer = torch.zeros(block, channels, dtype=torch.float64, device=device)
        self._shift: Tensor | None = None
        # Of what lies beyond the shift.
        self._sum = torch.zeros(channels, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._sum)

    def update(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> None:
        """Take in ``data`` (B, H, W, C) where ``valid`` (B, H, W, 1)."""
        raw = (data.data if isinstance(data, LazyAffine) else data).detach()
        rows = raw.reshape(-1, raw.shape[-1])
        keep = None if valid is None else valid.reshape(-1)
        step = len(self._buffer)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            whole = len(part)
            if keep is not None and not bool((kept := keep[start : start + step]).all()):
                part = part[kept]
            values = self._buffer[: len(part)].copy_(part)
            if isinstance(data, LazyAffine):
                values.mul_(data.scale).add_(data.offset)
            self.left_out += whole - self._gather(values)

    def _gather(self, values: Tensor) -> int:
        """Take in the rows of ``values`` that are finite, which it changes; how many there are."""
        if self._shift is None:
            values = values[values.isfinite().all(1)]
            if not len(values):
                return 0
            self._shift = values[:SAMPLE].median(0).values
        total = values.sub_(self._shift).sum(0)
        if not math.isfinite(total.sum().item()):
            values = values[values.isfinite().all(1)]
            total = values.sum(0)
        self._sum += total
        self._squares += values.square_().sum(0)
        self.count += len(values)
        return len(values)

    def _mean_and_squares(self) -> tuple[Tensor, Tensor]:
        """The mean, and the sum of squared deviations from it, (C,); zeros before any pixel."""
        if self._shift is None:
            return self._sum, self._squares
        offset = self._sum / self.count
        return self._shift + offset, (self._squares - self._sum * offset).clamp(min=0)

    def variance(self) -> Tensor:
        """The mean squared deviation of every band, (C,)."""
        return self._mean_and_squares()[1] / max(self.count, 1)

    def state(self) -> dict[str, Tensor]:
        """Everything gathered so far, as float64 tensors."""
        counts = torch.tensor([self.count, self.left_out], dtype=torch.float64)
        mean, squares = self._mean_and_squares()
        return {"counts": counts, "mean": mean.clone(), "squares": squares.clone()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one."""
        other, left_out = (int(number) for number in state["counts"].tolist())
        self.left_out += left_out
        if not other:
            return
        (mean, squares), total = self._mean_and_squares(), self.count + other
        gap = state["mean"].to(mean) - mean
        self._squares = squares + state["squares"].to(mean) + gap**2 * (self.count * other / total)
        self._shift, self._sum = mean + gap * (other / total), torch.zeros_like(mean)
        self.count = total
