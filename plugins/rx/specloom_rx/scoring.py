"""Squared Mahalanobis distances, pixel by pixel, in blocks whose size never changes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom.torch import usable_pixels

# A pixel's score must not depend on its place in a block, nor on its neighbours. That holds when
# every product has the same shape and no row falls into the remainder of a register tile:
# 960 is a multiple of all tile widths in use (8, 12, 16, 24, 32, 48), bands are filled up to
# multiples of 16, and the last block of an image is filled up to the full size.
CPU_BLOCK, GPU_BLOCK = 960, 15360
PADDING = 16
# A triangular factor is multiplied in column tiles, which skips most of its zeros.
TILE = 32


def mahalanobis(
    data: Tensor, mean: Tensor, whitening: Tensor, dtype: torch.dtype, *, triangular: bool = False
) -> Tensor:
    """|(x - mean) W|^2 of every pixel, (B, H, W, 1), in the type of ``data``.

    A pixel that is not finite gets NaN and leaves the others as they are. With gradients, plain
    differentiable operations are used; the bits may then depend on the batch.

    Args:
        data: (B, H, W, C).
        mean: (C,), float64.
        whitening: W, (C, R), float64.
        dtype: The type of the products, float32 or float64.
        triangular: W is square and upper triangular.
    """
    near = mean.float() if dtype == torch.float32 else mean
    # What rounding the mean to float32 left over is linear in W, and exact enough there.
    rest = ((mean - near.double()) @ whitening).to(dtype)
    tracked = (data, mean, whitening)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tracked):
        # NaN must not reach the products: 0 * NaN would be in every gradient.
        usable = usable_pixels(data.detach())[..., None]
        clean = torch.where(usable, data, 0).to(dtype)
        white = (clean - near) @ whitening.to(dtype) - rest
        scores = white.square().sum(-1, keepdim=True).to(data.dtype)
        return torch.where(usable, scores, torch.nan)
    return _blocked(data, near.to(dtype), whitening.to(dtype), rest, triangular)


def _blocked(
    data: Tensor, near: Tensor, whitening: Tensor, rest: Tensor, triangular: bool
) -> Tensor:
    (bands, _), dtype, device = whitening.shape, whitening.dtype, data.device
    fill = [-size % PADDING for size in whitening.shape]
    whitening, rest = pad(whitening, (0, fill[1], 0, fill[0])), pad(rest, (0, fill[1]))[:, None]
    height, width = whitening.shape
    tile = TILE if triangular and device.type == "cpu" else width
    tiles = [
        (a, b := min(a + tile, width), whitening[: b if triangular else height, a:b].T.contiguous())
        for a in range(0, width, tile)
    ]
    block = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
    rows = torch.zeros(block, height, dtype=dtype, device=device)
    white = torch.empty(width, block, dtype=dtype, device=device)
    scores = data.new_empty(*data.shape[:-1], 1)
    for image, out in zip(data, scores, strict=True):
        pixels, flat = image.reshape(-1, bands), out.view(-1)
        for start in range(0, len(pixels), block):
            part = pixels[start : start + block]
            used = rows[: len(part), :bands]
            used.copy_(part)
            used.sub_(near)
            rows[len(part) :].zero_()
            for a, b, columns in tiles:
                torch.mm(columns, rows[:, : columns.shape[1]].T, out=white[a:b])
            if dtype == torch.float32:
                white.sub_(rest)
            total = white.square_().sum(0)
            # Adding 0 * total turns an infinity into NaN and changes nothing else.
            flat[start : start + block] = total.add_(total * 0)[: len(part)]
    return scores
