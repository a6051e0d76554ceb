"""Streaming variance of every band, in float64 and in memory that does not grow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import Mapped

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
        self._mean = torch.zeros(channels, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._mean)

    def update(self, data: Tensor | Mapped, valid: Tensor | None = None) -> None:
        """Take in ``data`` (B, H, W, C) where ``valid`` (B, H, W, 1)."""
        raw = (data.data if isinstance(data, Mapped) else data).detach()
        rows = raw.reshape(-1, raw.shape[-1])
        keep = None if valid is None else valid.reshape(-1)
        step = len(self._buffer)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            whole = len(part)
            if keep is not None and not bool((kept := keep[start : start + step]).all()):
                part = part[kept]
            values = self._buffer[: len(part)].copy_(part)
            if isinstance(data, Mapped):
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
        if not bool(total.isfinite().all()):
            values = values[values.isfinite().all(1)]
            total = values.sum(0)
        if count := len(values):
            mean = total / count
            squares = values.square_().sum(0) - mean * total
            self._add(count, self._shift + mean, squares.clamp(min=0))
        return count

    def _add(self, count: int, mean: Tensor, squares: Tensor) -> None:
        total = self.count + count
        gap = mean - self._mean
        self._squares = self._squares + squares + gap.square() * (self.count * count / total)
        self._mean = self._mean + gap * (count / total)
        self.count = total

    def variance(self) -> Tensor:
        """The mean squared deviation of every band, (C,)."""
        return self._squares / max(self.count, 1)

    def state(self) -> dict[str, Tensor]:
        """Everything gathered so far, as float64 tensors."""
        counts = torch.tensor([self.count, self.left_out], dtype=torch.float64)
        return {"counts": counts, "mean": self._mean.clone(), "squares": self._squares.clone()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one."""
        count, left_out = (int(number) for number in state["counts"].tolist())
        self.left_out += left_out
        if count:
            self._add(count, state["mean"].to(self._mean), state["squares"].to(self._mean))
