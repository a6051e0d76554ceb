"""Bands times weights, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from specloom.torch import usable_pixels

CPU_BLOCK = 960
GPU_BLOCK = 15360


def weight_channels(data: Tensor, weights: Tensor) -> Tensor:
    """data (B, H, W, C) * weights (C,); a pixel that is not finite carries no gradient.

    0 * NaN would spoil the gradient of the weights for all pixels.
    """
    tracked = data.requires_grad or weights.requires_grad
    if not (tracked and torch.is_grad_enabled()):
        return data * weights
    usable = usable_pixels(data.detach())[..., None]
    plain = data.detach() * weights.detach()
    return torch.where(usable, torch.where(usable, data, 0) * weights, plain)


def mix_channels(data: Tensor, weights: Tensor) -> Tensor:
    """data (B, H, W, C) times weights (K, C), (B, H, W, K); NaN where a band is not finite.

    Without gradients products have one shape, in blocks that restart at every image, so that a
    pixel does not depend on what else is in its batch. With gradients a pixel that is not finite
    carries none: 0 * NaN would spoil those of the weights.
    """
    columns = weights.to(data.dtype).T
    if torch.is_grad_enabled() and (data.requires_grad or weights.requires_grad):
        usable = usable_pixels(data.detach())[..., None]
        return torch.where(usable, torch.where(usable, data, 0) @ columns, torch.nan)
    columns = columns.contiguous()
    bands, outputs = columns.shape
    step = CPU_BLOCK if data.device.type == "cpu" else GPU_BLOCK
    rows = data.new_zeros(step, bands)
    product = data.new_empty(step, outputs)
    mixed = data.new_empty(*data.shape[:-1], outputs)
    for image, result in zip(data, mixed, strict=True):
        pixels = image.reshape(-1, bands)
        flat = result.view(-1, outputs)
        for start in range(0, len(pixels), step):
            part = pixels[start : start + step]
            rows[: len(part)] = part
            torch.mm(rows, columns, out=product)
            # Adding 0 * product turns an infinity into NaN and changes nothing else.
            flat[start : start + step] = product.add_(product * 0)[: len(part)]
    return mixed
