"""Streaming mean and covariance of pixels, in float64 and in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from specloom import LazyAffine

# Rows at a time: 1024 x 61 bands in float64 are 0.5 MB and stay in a core's cache.
CPU_BLOCK, GPU_BLOCK = 1024, 65536
# How many rows the shift is found from.
SAMPLE = 128


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
        # Behind the bands stands a 1: one product gives the sums too.
        self._buffer = self._zeros(block, channels + 1)
        self._buffer[:, -1] = 1
        self._shift: Tensor | None = None
        self._products = self._zeros(channels + 1, channels + 1)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self.device)

    def update(self, data: Tensor | LazyAffine, keep: Tensor | None = None) -> None:
        """Take in pixels of any real dtype.

        Args:
            data: (..., C), or such data with an affine map, which is then applied in float64.
            keep: Pixels that count, bool of as many elements; None for all.
        """
        raw = data.data if isinstance(data, LazyAffine) else data
        rows, block = raw.detach().reshape(-1, self.channels), len(self._buffer)
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            whole = len(part)
            if keep is not None and not bool((kept := keep[start : start + block]).all()):
                part = part[kept]
            self.left_out += whole - self._add(part, data)

    def _add(self, part: Tensor, data: Tensor | LazyAffine) -> int:
        """Take in some rows of ``data``; how many were finite."""
        rows = self._shifted(part, data)
        if self._shift is None:
            rows = _finite(rows)
            if not len(rows):
                return 0
            # A value that occurs: the variance of a constant band comes out as exactly 0, and
            # counts stay whole numbers, whose products are exact. With the mean, the rounding
            # of their products is no longer random, and adds up.
            self._shift = rows[:SAMPLE, :-1].median(0).values
            rows[:, :-1].sub_(self._shift)
        found = products(rows)
        if not math.isfinite(found[-1].sum().item()):
            rows = _finite(rows)
            found = products(rows)
        # Not addmm_: some BLAS then add row after row to the sum so far, whose rounding grows
        # with the stream and loses the weak directions.
        self._products += found
        self.count += len(rows)
        return len(rows)

    def _shifted(self, part: Tensor, data: Tensor | LazyAffine) -> Tensor:
        """The rows in float64, mapped as ``data`` is, shifted where the shift is known, and a 1."""
        rows = self._buffer[: len(part)]
        values = rows[:, :-1].copy_(part)
        if isinstance(data, LazyAffine):
            values.mul_(data.scale).add_(data.offset)
        if self._shift is not None:
            values.sub_(self._shift)
        return rows

    def mean_and_scatter(self) -> tuple[Tensor, Tensor]:
        """The mean (C,), and the sum of (x - mean)(x - mean)^T, (C, C); zeros before any row."""
        total, squares = self._products[-1, :-1], self._products[:-1, :-1]
        if self._shift is None:
            return total.clone(), squares.clone()
        offset = total / self.count
        upper = (squares - torch.outer(total, offset)).triu()
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
        self._shift = theirs
        self._products.zero_()[:-1, :-1] = scatter


def products(rows: Tensor) -> Tensor:
    """rows^T rows, (C, C), for ``rows`` (N, C)."""
    if rows.device.type == "cpu":
        array = rows.numpy()
        with np.errstate(all="ignore"):
            # NumPy sees that the product is symmetric, and does half the work.
            return torch.from_numpy(array.T @ array)
    return rows.T @ rows


def _finite(rows: Tensor) -> Tensor:
    """The rows that are finite in every column."""
    return rows[rows.isfinite().all(1)]
