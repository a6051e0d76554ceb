"""The gradient of squared Mahalanobis distances, in blocks and without storing white pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from specloom.torch import no_memory, reduce_blocks
from specloom_statistics import native_kernels

# Rows at a time: 3072 x 61 bands in float32 are 3/4 MB and stay in a core's cache.
CPU_BLOCK = 3072
GPU_BLOCK = 65536
PADDING = 16
TILE = 32
# Values that a thread takes at a time, by the kernels of specloom-native.
PART_VALUES = 1 << 19


class Distances(torch.autograd.Function):
    """s = |(x - c) W - r|^2 of every pixel x; gradients reach x, W and r, not c.

    With d = x - c, u = 2 ds and z = d W - r: dW = sum(u d^T z) = (sum u d^T d) W - (sum u d)^T r,
    which needs one product a block and no white pixel; dr = -sum(u z); dx = u z W^T.
    """

    @staticmethod
    def forward(
        ctx: Any,
        data: Tensor,
        center: Tensor,
        whitening: Tensor,
        rest: Tensor,
        score: Callable[[Tensor, torch.dtype], Tensor],
        dtype: torch.dtype,
    ) -> Tensor:
        """The distances of (B, H, W, C) ``data``, (B, H, W, 1), as ``score`` computes them."""
        scores = score(data, dtype)
        ctx.save_for_backward(data, center, whitening, rest, scores)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, one for each argument."""
        data, center, whitening, rest, scores = ctx.saved_tensors
        finite = scores.isfinite()
        factors = torch.where(finite, 2 * gradient, 0).to(center.dtype).view(-1)
        bands = data.shape[-1]
        pixels = data.reshape(-1, bands)
        # 0 * NaN would be in every gradient. On a GPU looking for it would cost more.
        replace_nan = data.device.type != "cpu" or not bool(finite.all())
        blocks = _Blocks(pixels, center, factors, replace_nan)
        sums = _sum_products(blocks)
        scatter = sums[:bands, :bands].to(center.dtype)
        total = sums[bands, :bands].to(center.dtype)
        to_whitening = scatter @ whitening - torch.outer(total, rest)
        to_rest = sums[bands, bands].to(rest) * rest - total @ whitening
        to_data = None
        if ctx.needs_input_grad[0]:
            to_data = _gradient_of_pixels(blocks, whitening, rest).view(data.shape)
        return to_data, None, to_whitening, to_rest, None, None


class _Blocks(NamedTuple):
    """Pixels of which some are centred at a time."""

    pixels: Tensor
    """(N, C)."""
    center: Tensor
    """(C,)."""
    factors: Tensor
    """u, (N,), in the type of the center; 0 for pixels that are not finite."""
    replace_nan: bool
    """Whether some pixels may not be finite."""

    @property
    def size(self) -> int:
        """How many pixels are centred at a time."""
        block = CPU_BLOCK if self.pixels.device.type == "cpu" else GPU_BLOCK
        return min(block, max(len(self.pixels), 1))

    def center_block(self, start: int, out: Tensor) -> None:
        """Write d of the pixels from ``start`` on into ``out`` (n, C)."""
        part = self.pixels[start : start + len(out)]
        if part.dtype == out.dtype:
            torch.sub(part, self.center, out=out)
        else:
            out.copy_(part).sub_(self.center)
        if self.replace_nan:
            out.nan_to_num_(0, 0, 0)


def _sum_products(blocks: _Blocks) -> Tensor:
    """sum(u e^T e) with e = (d, 1), float64; at least (C + 1, C + 1), zeros behind."""
    kernels = native_kernels(blocks.pixels.device)
    if kernels is not None and _fits_kernels(blocks):
        sums = _sum_native_products(blocks, kernels)
    else:
        sums = _sum_block_products(blocks)
    return sums.triu() + sums.triu(1).T


def _fits_kernels(blocks: _Blocks) -> bool:
    """Whether there is a kernel for the types: that of the factors holds that of the pixels."""
    types = (blocks.pixels.dtype, blocks.factors.dtype)
    both_wide = (torch.float64, torch.float64)
    return types == both_wide or types[0] == torch.float32


def _sum_native_products(blocks: _Blocks, kernels: Any) -> Tensor:
    """The upper triangle of the sums, by the kernels of specloom-native."""
    count, bands = blocks.pixels.shape
    step = max(PART_VALUES // bands, 1)
    starts = range(0, max(count, 1), step)

    def sum_part(number: int, _: None) -> Tensor:
        part = slice(starts[number], starts[number] + step)
        rows = blocks.pixels[part]
        sums: Tensor = kernels.weighted_products(rows, blocks.center, blocks.factors[part])
        return sums

    return reduce_blocks(sum_part, len(starts), no_memory, _add_in_order)


def _add_in_order(parts: Sequence[Tensor]) -> Tensor:
    total, *others = parts
    for part in others:
        total += part
    return total


def _sum_block_products(blocks: _Blocks) -> Tensor:
    """The upper triangle of the sums, by torch."""
    count, bands = blocks.pixels.shape
    size = blocks.size
    # Behind the bands stands a 1, so that one product gives sum u d^T d and sum u d.
    rows = blocks.center.new_zeros(size, bands + 1 + (-bands - 1) % PADDING)
    rows[:, bands] = 1
    weighted_rows = torch.empty_like(rows)
    sums = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for start in range(0, count, size):
        factor = blocks.factors[start : start + size, None]
        with_one = rows[: len(factor)]
        weighted = weighted_rows[: len(factor)]
        blocks.center_block(start, with_one[:, :bands])
        torch.mul(with_one, factor, out=weighted)
        _add_upper_products(sums, weighted, with_one)
    return sums


def _add_upper_products(sums: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left^T right to ``sums``; of the symmetric product only the tiles on and above it."""
    for start in range(0, sums.shape[0], TILE):
        end = start + TILE
        sums[start:end, start:] += left[:, start:end].T @ right[:, start:]


def _gradient_of_pixels(blocks: _Blocks, whitening: Tensor, rest: Tensor) -> Tensor:
    """u z W^T of every pixel, in the type of the pixels, (N, C)."""
    pixels = blocks.pixels
    to_pixels = torch.empty_like(pixels)
    size = blocks.size
    centred = blocks.center.new_empty(size, pixels.shape[1])
    white = rest.new_empty(size, len(rest))
    for start in range(0, len(pixels), size):
        factor = blocks.factors[start : start + size, None]
        d = centred[: len(factor)]
        blocks.center_block(start, d)
        z = torch.mm(d, whitening, out=white[: len(factor)]).sub_(rest).mul_(factor)
        to_pixels[start : start + size] = z @ whitening.T
    return to_pixels
