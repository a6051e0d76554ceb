"""Squared Mahalanobis distances, pixel by pixel, in blocks whose size never changes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom import Mapped
from specloom_rx.gradient import Distances

# A pixel's score must not depend on its place in a block, nor on its neighbours. That holds when
# every product has the same shape and no row falls into the remainder of a register tile:
# 960 is a multiple of all tile widths in use (8, 12, 16, 24, 32, 48), bands are filled up to
# multiples of 16, and the last block of an image is filled up to the full size.
CPU_BLOCK, GPU_BLOCK = 960, 15360
PADDING = 16
# A triangular factor is multiplied in column tiles, which skips most of its zeros.
TILE = 32


def mahalanobis(
    data: Tensor | Mapped,
    mean: Tensor,
    whitening: Tensor,
    dtype: torch.dtype,
    *,
    triangular: bool = False,
) -> Tensor:
    """|(x - mean) W|^2 of every pixel, (B, H, W, 1), in the type of ``data``; differentiable.

    A pixel that is not finite gets NaN, carries no gradient and leaves the others as they are.

    Args:
        data: (B, H, W, C); with a ``Mapped``, x = data * scale + offset is never written down:
            W takes in the scale, and the mean takes in both.
        mean: (C,), float64.
        whitening: W, (C, R), float64.
        dtype: The type of the products, float32 or float64.
        triangular: W is square and upper triangular.
    """
    # (x - mean) W = (raw - center) (scale W) - rest, with any center; the one that makes the rest
    # vanish, rounded to what the products are made in, keeps all digits.
    raw, kind, gap = data, data.dtype, mean
    scale: Tensor | None = None
    if isinstance(data, Mapped):
        raw, gap = data.data, mean - torch.as_tensor(data.offset).to(mean)
        scale = torch.as_tensor(data.scale).to(mean).expand(len(mean))
    center = (gap if scale is None else gap / scale).detach().to(dtype)
    if scale is not None:
        center = torch.where(center.isfinite(), center, 0)
    rest = (gap - center.double() if scale is None else gap - scale * center) @ whitening
    whitening = whitening if scale is None else scale[:, None] * whitening
    exact = scale is None and dtype == torch.float64
    arguments = (raw, center, whitening.to(dtype), rest.to(dtype))
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in arguments):
        return Distances.apply(*arguments, kind, _blocked, triangular, exact)
    return _blocked(*arguments, kind, triangular, exact)


def _blocked(
    data: Tensor,
    center: Tensor,
    whitening: Tensor,
    rest: Tensor,
    kind: torch.dtype,
    triangular: bool,
    exact: bool,
) -> Tensor:
    """|(data - center) W - rest|^2; ``exact`` says that the rest is zero."""
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
    scores = torch.empty(*data.shape[:-1], 1, dtype=kind, device=device)
    for image, out in zip(data, scores, strict=True):
        pixels, flat = image.reshape(-1, bands), out.view(-1)
        for start in range(0, len(pixels), block):
            part = pixels[start : start + block]
            used = rows[: len(part), :bands]
            if part.dtype == dtype:
                torch.sub(part, center, out=used)
            else:
                used.copy_(part).sub_(center)
            if len(part) < block:
                rows[len(part) :].zero_()
            for a, b, columns in tiles:
                torch.mm(columns, rows[:, : columns.shape[1]].T, out=white[a:b])
            if not exact:
                white.sub_(rest)
            flat[start : start + block] = white.square_().sum(0)[: len(part)]
    # This turns an infinity into NaN and changes nothing else.
    return scores.add_(scores * 0)
