"""The limits that data are scaled by: how they are applied, and those of one image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from specloom.torch import map_blocks, no_memory, usable_pixels
from specloom_normalize.memory import BLOCK, PART, has_large_pages, new_memory
from specloom_statistics import native_kernels, quantiles

NATIVE_TYPES = (torch.float32, torch.float64)


class Scaling(NamedTuple):
    """(data - low) / span, or data * scale + offset."""

    low: Tensor
    """() or (C,), as ``span``; in the type of the data."""
    span: Tensor
    scale: Tensor
    """In the type of the limits, as ``offset``."""
    offset: Tensor

    @classmethod
    def between(cls, low: Tensor, high: Tensor, eps: float, dtype: torch.dtype) -> Scaling:
        """Scaling by max(high - low, eps * the largest of all limits - the smallest).

        Where all limits are equal, the span is 1: constant data give 0.

        Args:
            low: The lower limits, () or (C,).
            high: The upper limits, of the same shape.
            eps: The smallest span, as a share of the range of all limits.
            dtype: The type of the data.
        """
        smallest = _smallest_span(low, high, eps)
        scale = 1 / torch.maximum(high - low, smallest)
        rounded_low = low.to(dtype)
        # The difference is rounded as the numerator is, so that `high` becomes exactly 1.
        span = torch.maximum(high.to(dtype) - rounded_low, smallest.to(dtype))
        return cls(rounded_low, span, scale, -low * scale)

    def apply(self, data: Tensor, *, clip: bool) -> Tensor:
        """Scale (..., C) ``data``.

        Args:
            data: Of the type that the scaling was made for.
            clip: Limit the result to [0, 1]; what is infinite becomes NaN.
        """
        low = self.low
        span = self.span
        if torch.is_grad_enabled() and (data.requires_grad or span.requires_grad):
            scaled = (data - low) / span
            if clip:
                scaled = scaled.clamp(0, 1) + 0 * scaled.detach()
            return scaled
        size = data.shape[-1] if low.dim() else 1
        rows = data.reshape(-1, size)
        step = max(PART // size, 1)
        starts = range(0, len(rows), step)
        result = new_memory(rows)
        kernels = None
        if rows.dtype in NATIVE_TYPES and low.dtype == span.dtype == rows.dtype:
            kernels = native_kernels(rows.device)

        def scale(number: int, _: None) -> None:
            place = slice(starts[number], starts[number] + step)
            values = rows[place]
            part = result[place]
            if kernels is None:
                self._scale_rows(values, part, clip=clip)
                return
            if size == 1:  # one row is faster than many short ones
                values = values.view(1, -1)
                part = part.view(1, -1)
            kernels.scale(values, low, span, part, clip=clip)

        # The system clears large pages when they are touched for the first time, which takes
        # most of the time, and two threads often wait for each other there.
        most = 1 if has_large_pages(rows) else None
        map_blocks(scale, len(starts), no_memory, most)
        return result.view(data.shape)

    def _scale_rows(self, rows: Tensor, out: Tensor, *, clip: bool) -> None:
        """Write scaled rows into ``out``, without kernels, in blocks that stay in the cache."""
        step = max(BLOCK // rows.shape[1], 1)
        for start in range(0, len(rows), step):
            part = out[start : start + step]
            torch.sub(rows[start : start + step], self.low, out=part)
            part.div_(self.span)
            if clip:
                not_finite = part * 0  # NaN for NaN and infinities
                part.clamp_(0, 1).add_(not_finite)


def _smallest_span(low: Tensor, high: Tensor, eps: float) -> Tensor:
    """The span of a band that is constant, () in the type of the limits."""
    spread = (high.amax() - low.amin()).detach()
    return torch.where(spread > 0, eps * spread, torch.ones_like(spread))


def image_limits(
    rows: Tensor, valid: Tensor | None, share: tuple[float, float] | None, *, per_channel: bool
) -> tuple[Tensor, Tensor]:
    """Lower and upper limit of one image, () or (C,), without waiting for a GPU; differentiable.

    Args:
        rows: The pixels, (N, C); those that are not finite in every band are excluded.
        valid: The pixels to use, bool (N,); None for all.
        share: Two quantiles, or None for minimum and maximum.
        per_channel: One pair for each band.
    """
    if share is None:
        return _image_extremes(rows, valid, per_channel=per_channel)
    return _image_quantiles(rows, valid, share, per_channel=per_channel)


def _usable_blocks(rows: Tensor, valid: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of each block, and which of them are usable, bool (N, 1)."""
    step = max(BLOCK // rows.shape[1], 1)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        mask = None if valid is None else valid[start : start + step, None]
        yield block, usable_pixels(block.detach(), mask)[:, None]


def _image_extremes(
    rows: Tensor, valid: Tensor | None, *, per_channel: bool
) -> tuple[Tensor, Tensor]:
    lows = []
    highs = []
    for block, usable in _usable_blocks(rows, valid):
        lows.append(torch.where(usable, block, torch.inf).amin(0))
        highs.append(torch.where(usable, block, -torch.inf).amax(0))
    low = torch.stack(lows).amin(0)
    high = torch.stack(highs).amax(0)
    if not per_channel:
        low = low.amin()
        high = high.amax()
    return torch.where(low <= high, low, torch.nan), high


def _image_quantiles(
    rows: Tensor, valid: Tensor | None, share: tuple[float, float], *, per_channel: bool
) -> tuple[Tensor, Tensor]:
    blocks = []
    count = torch.zeros((), dtype=torch.int64, device=rows.device)
    for block, usable in _usable_blocks(rows, valid):
        blocks.append(torch.where(usable, block, torch.nan))
        count = count + usable.sum()
    values = torch.cat(blocks).T
    if not per_channel:
        values = values.reshape(1, -1)
        count = count * rows.shape[1]
    low, high = quantiles(values, count, *share)
    if not per_channel:
        return low[0], high[0]
    return low, high
