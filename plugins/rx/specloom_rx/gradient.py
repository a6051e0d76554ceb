"""The gradient of squared Mahalanobis distances, in blocks and without storing white pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Rows at a time: 3072 x 61 bands in float32 are 3/4 MB and stay in a core's cache.
CPU_BLOCK = 3072
GPU_BLOCK = 65536
PADDING = 16
TILE = 32


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
        factors = torch.where(finite, 2 * gradient, 0).to(center.dtype).view(-1, 1)
        # 0 * NaN would be in every gradient. On a GPU looking for it would cost more.
        replace_nan = data.device.type != "cpu" or not bool(finite.all())
        bands = data.shape[-1]
        pixels = data.reshape(-1, bands)
        to_pixels = torch.empty_like(pixels) if ctx.needs_input_grad[0] else None
        block = CPU_BLOCK if data.device.type == "cpu" else GPU_BLOCK
        size = min(block, max(len(pixels), 1))
        # Behind the bands stands a 1, so that one product gives sum u d^T d and sum u d.
        rows = center.new_zeros(size, bands + 1 + (-bands - 1) % PADDING)
        rows[:, bands] = 1
        weighted_rows = torch.empty_like(rows)
        white = rest.new_empty(size, len(rest))
        sums = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            factor = factors[start : start + size]
            with_one = rows[: len(part)]
            weighted = weighted_rows[: len(part)]
            d = with_one[:, :bands]
            if part.dtype == d.dtype:
                torch.sub(part, center, out=d)
            else:
                d.copy_(part).sub_(center)
            if replace_nan:
                d.nan_to_num_(0, 0, 0)
            torch.mul(with_one, factor, out=weighted)
            _add_upper_products(sums, weighted, with_one)
            if to_pixels is not None:
                z = torch.mm(d, whitening, out=white[: len(part)]).sub_(rest).mul_(factor)
                to_pixels[start : start + size] = z @ whitening.T
        sums = sums.triu() + sums.triu(1).T
        scatter = sums[:bands, :bands].to(center.dtype)
        total = sums[bands, :bands].to(center.dtype)
        to_whitening = scatter @ whitening - torch.outer(total, rest)
        to_rest = sums[bands, bands].to(rest) * rest - total @ whitening
        to_data = None if to_pixels is None else to_pixels.view(data.shape)
        return to_data, None, to_whitening, to_rest, None, None


def _add_upper_products(sums: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left^T right to ``sums``; of the symmetric product only the tiles on and above it."""
    for start in range(0, sums.shape[0], TILE):
        end = start + TILE
        sums[start:end, start:] += left[:, start:end].T @ right[:, start:]
