"""Streaming mean and covariance of pixels, in float64 and in memory that does not grow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Rows at a time: 2048 x 61 bands in float64 are 1 MB and stay in a core's cache. A GPU wants more.
CPU_BLOCK, GPU_BLOCK = 2048, 65536
# The scatter matrix is symmetric: only the tiles of its upper triangle are multiplied.
TILE = 48


class Moments:
    """Count, mean and scatter of rows that arrive in batches.

    Each block is converted to float64, shifted by the median of the first block, and multiplied in
    float64: without the shift, or in float32, the weak directions of real scenes are lost. Rows
    that are not finite in every column are left out and counted. The same rows in the same
    batches give the same bits. Merging: T. Chan, G. Golub, R. LeVeque, The American Statistician
    37(3), 1983.

    Args:
        channels: The length of a row.
        device: Where the sums are kept; rows must be there too.
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        self.channels, self.device = channels, torch.device(device)
        self.count, self.left_out = 0, 0
        block = CPU_BLOCK if self.device.type == "cpu" else GPU_BLOCK
        self._buffer = self._zeros(block, channels)
        self._shift: Tensor | None = None
        self._sum, self._upper = self._zeros(channels), self._zeros(channels, channels)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self.device)

    def update(self, rows: Tensor, keep: Tensor | None = None, scale: Tensor | None = None) -> None:
        """Take in ``rows`` (N, C) of any real dtype.

        Args:
            rows: The pixels, (N, C).
            keep: Rows that count, bool (N,); None for all.
            scale: A factor for each column, (C,), applied in float64.
        """
        rows, block = rows.detach(), len(self._buffer)
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            whole = len(part)
            if keep is not None and not bool((kept := keep[start : start + block]).all()):
                part = part[kept]
            self.left_out += whole - self._add(part, scale)

    def _add(self, part: Tensor, scale: Tensor | None) -> int:
        buffer = self._buffer[: len(part)]
        buffer.copy_(part)
        if scale is not None:
            buffer.mul_(scale)
        if self._shift is None:
            buffer = _finite(buffer)
            if not len(buffer):
                return 0
            # A value that occurs: the variance of a constant band comes out as exactly 0, and
            # counts stay whole numbers, whose products are exact. With the mean, the rounding
            # of their products is no longer random, and adds up.
            self._shift = buffer.median(0).values
        buffer.sub_(self._shift)
        total = buffer.sum(0)
        if not bool(total.isfinite().all()):
            buffer = _finite(buffer)
            total = buffer.sum(0)
        self._sum += total
        for a in range(0, self.channels, TILE):
            b = a + TILE
            # Not addmm_: some BLAS then add row after row to the sum so far, whose rounding grows
            # with the stream and loses the weak directions.
            self._upper[a:b, a:] += buffer[:, a:b].T @ buffer[:, a:]
        self.count += len(buffer)
        return len(buffer)

    def mean_and_scatter(self) -> tuple[Tensor, Tensor]:
        """The mean (C,), and the sum of (x - mean)(x - mean)^T, (C, C); zeros before any row."""
        if self._shift is None:
            return self._sum.clone(), self._upper.clone()
        offset = self._sum / self.count
        upper = (self._upper - torch.outer(self._sum, offset)).triu()
        return self._shift + offset, upper + upper.triu(1).T

    def mean(self) -> Tensor:
        """The mean, (C,)."""
        return self.mean_and_scatter()[0]

    def covariance(self, ddof: int = 1) -> Tensor:
        """The covariance (C, C), divided by count - ddof; zeros while that is not positive."""
        return self.mean_and_scatter()[1] / max(self.count - ddof, 1)

    def state(self) -> dict[str, Tensor]:
        """Everything gathered so far, as float64 tensors."""
        mean, scatter = self.mean_and_scatter()
        counts = torch.tensor([self.count, self.left_out], dtype=torch.float64)
        return {"counts": counts, "mean": mean, "scatter": scatter}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one."""
        other, left_out = (int(n) for n in state["counts"].tolist())
        self.left_out += left_out
        if not other:
            return
        theirs, scatter = state["mean"].to(self.device), state["scatter"].to(self.device)
        if self.count:
            mine, own = self.mean_and_scatter()
            gap, total = theirs - mine, self.count + other
            scatter = own + scatter + torch.outer(gap, gap) * (self.count * other / total)
            theirs = mine + gap * (other / total)
        self.count += other
        self._shift, self._upper = theirs, scatter.clone()
        self._sum = torch.zeros_like(theirs)


def _finite(rows: Tensor) -> Tensor:
    """The rows that are finite in every column."""
    return rows[rows.isfinite().all(1)]
