"""The gradient of squared Mahalanobis distances, in blocks and without keeping white pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from specloom_rx.blocks import Tiles, distances

# Rows at a time: 3072 x 61 bands in float32 are 3/4 MB and stay in a core's cache.
CPU_BLOCK, GPU_BLOCK = 3072, 65536
PADDING, TILE = 16, 32


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
        tiles: Tiles,
        kind: torch.dtype,
    ) -> Tensor:
        """The distances of (B, H, W, C) ``data``, (B, H, W, 1); ``tiles`` are those of W and r."""
        scores = distances(data, center, tiles, kind)
        ctx.save_for_backward(data, center, whitening, rest, scores)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients, one for each argument."""
        data, center, whitening, rest, scores = ctx.saved_tensors
        finite = scores.isfinite()
        factors = torch.where(finite, 2 * gradient, 0).to(center.dtype).view(-1, 1)
        spoilt = data.device.type != "cpu" or not bool(finite.all())
        pixels, bands = data.reshape(-1, data.shape[-1]), data.shape[-1]
        back = torch.empty_like(pixels) if ctx.needs_input_grad[0] else None
        size = min(CPU_BLOCK if data.device.type == "cpu" else GPU_BLOCK, max(len(pixels), 1))
        # Behind the bands stands a 1, so that one product gives sum u d^T d and sum u d.
        rows = center.new_zeros(size, bands + 1 + (-bands - 1) % PADDING)
        rows[:, bands] = 1
        weighted, white = torch.empty_like(rows), rest.new_empty(size, len(rest))
        sums = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        for start in range(0, len(pixels), size):
            part, factor = pixels[start : start + size], factors[start : start + size]
            with_one, u_with_one = rows[: len(part)], weighted[: len(part)]
            d = with_one[:, :bands]
            if part.dtype == d.dtype:
                torch.sub(part, center, out=d)
            else:
                d.copy_(part).sub_(center)
            if spoilt:  # 0 * NaN would be in every gradient
                d.nan_to_num_(0, 0, 0)
            torch.mul(with_one, factor, out=u_with_one)
            for a in range(0, rows.shape[1], TILE):  # symmetric: only the upper triangle
                sums[a : a + TILE, a:] += u_with_one[:, a : a + TILE].T @ with_one[:, a:]
            if back is not None:
                z = torch.mm(d, whitening, out=white[: len(part)]).sub_(rest).mul_(factor)
                back[start : start + size] = z @ whitening.T
        sums = sums.triu() + sums.triu(1).T
        scatter, total = sums[:bands, :bands].to(center.dtype), sums[bands, :bands].to(center.dtype)
        to_whitening = scatter @ whitening - torch.outer(total, rest)
        to_rest = sums[bands, bands].to(rest) * rest - total @ whitening
        to_data = None if back is None else back.view(data.shape)
        return to_data, None, to_whitening, to_rest, None, None
