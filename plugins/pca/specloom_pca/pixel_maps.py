"""Chains of affine maps, pixel by pixel, in blocks whose size never changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, leaky_relu_, linear, pad

# A pixel's result must not depend on its place in a block, nor on its neighbours. That holds when
# every product has the same shape and no row falls into the remainder of a register tile:
# 960 is a multiple of all tile widths in use (8, 12, 16, 24, 32, 48), and the last block of an
# image is filled up to the full size. Few bands take longer blocks, of about 1 MB in float64.
# Bands are filled up for aligned rows, channels because an odd number of them is slower.
CPU_BLOCK, GPU_BLOCK, FEW_BANDS = 960, 15360, 128
BANDS, CHANNELS = 16, 4

Layer: TypeAlias = tuple[Tensor, Tensor | None]
"""A matrix (out, in) and a bias (out,), or None for zeros."""


def pixel_maps(data: Tensor, layers: Sequence[Layer], slope: float = 1.0) -> Tensor:
    """x -> A x + b of every pixel, layer by layer, as (B, K, H * W) in the type of ``data``.

    Products are in the wider type of ``data`` and the matrices. Between two layers values below
    zero are multiplied by ``slope``. A pixel that is not finite in every band gets NaN and leaves
    the others as they are. With gradients plain differentiable operations are used, which may
    round otherwise; pixels that are not finite then do not spoil the gradients of the others.

    Args:
        data: (B, H, W, C).
        layers: One or more; K is the length of the last one.
        slope: Of the LeakyReLU between layers; 1 for none.
    """
    dtype = torch.promote_types(data.dtype, layers[0][0].dtype)
    wide = [(a.to(dtype), None if b is None else b.to(dtype)) for a, b in layers]
    tracked = [data, *(part for layer in layers for part in layer if part is not None)]
    if torch.is_grad_enabled() and any(part.requires_grad for part in tracked):
        return _differentiable(data, wide, slope)
    return _blocked(data, wide, slope)


def _differentiable(data: Tensor, layers: Sequence[Layer], slope: float) -> Tensor:
    usable = data.detach().sum(-1).isfinite()[:, None].flatten(2)
    values = data.nan_to_num(0, 0, 0).to(layers[0][0].dtype)
    for i, (matrix, bias) in enumerate(layers):
        values = linear(leaky_relu(values, slope) if i else values, matrix, bias)
    results = values.to(data.dtype).flatten(1, 2).mT.contiguous()
    return torch.where(usable, results, torch.nan)


def _blocked(data: Tensor, layers: Sequence[Layer], slope: float) -> Tensor:
    dtype, device, bands = layers[0][0].dtype, data.device, data.shape[-1]
    block = CPU_BLOCK * min(max(FEW_BANDS // bands, 1), 4)
    block = block if device.type == "cpu" else GPU_BLOCK
    rows = torch.zeros(block, bands + -bands % BANDS, dtype=dtype, device=device)
    values, steps = rows.T, list[tuple[Tensor, Tensor, Tensor, Tensor]]()
    for matrix, bias in layers:
        below = -len(matrix) % CHANNELS
        matrix = pad(matrix, (0, len(values) - matrix.shape[1], 0, below))
        bias = matrix.new_zeros(len(matrix) - below) if bias is None else bias
        made = torch.empty(len(matrix), block, dtype=dtype, device=device)
        steps.append((matrix, pad(bias, (0, below))[:, None], values, made))
        values = made
    channels = len(layers[-1][0])
    results = data.new_empty(len(data), channels, data.shape[1] * data.shape[2])
    for image, result in zip(data, results, strict=True):
        pixels = image.reshape(-1, bands)
        for start in range(0, len(pixels), block):
            part = pixels[start : start + block]
            rows[: len(part), :bands].copy_(part)
            rows[len(part) :].zero_()
            for i, (matrix, column, before, made) in enumerate(steps):
                torch.addmm(column, matrix, leaky_relu_(before, slope) if i else before, out=made)
            # Adding 0 * value turns an infinity into NaN and changes nothing else.
            values.add_(values * 0)
            result[:, start : start + block] = values[:channels, : len(part)]
    return results


def channels_last(results: Tensor, data: Tensor) -> Tensor:
    """The (B, K, H * W) of ``pixel_maps`` as (B, H, W, K), for ``data`` (B, H, W, C)."""
    return results.mT.reshape(*data.shape[:-1], results.shape[1]).contiguous()
