"""Squared distances in blocks that stay in a core's cache, with bits that nothing changes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

# A pixel's score must not depend on its place in a block, nor on its neighbours. That holds when
# no row falls into the remainder of a register tile: 96 is a multiple of all tile widths in use
# (8, 12, 16, 24, 32, 48), blocks are filled up to a multiple of it, and bands to one of 16.
STEP, PADDING = 96, 16
# Bytes of a block before it is multiplied; on a CPU it fits into a core's cache with the product,
# but less than 10 steps at a time cost more than what leaves the cache.
CPU_BLOCK, GPU_BLOCK, LEAST = 1 << 20, 1 << 24, 10
# A triangular factor is multiplied in column tiles, which skips most of its zeros.
TILE = 32


class Tiles(NamedTuple):
    """W^T in tiles: its padded height and width, (from, to, rows) of each tile, and the rest."""

    height: int
    width: int
    parts: list[tuple[int, int, Tensor]]
    rest: Tensor | None


def tiled(whitening: Tensor, rest: Tensor, triangular: bool, exact: bool) -> Tiles:
    """W^T in tiles, filled up with zeros; without a rest where that is ``exact``ly zero."""
    fill = [-size % PADDING for size in whitening.shape]
    whitening, rest = pad(whitening, (0, fill[1], 0, fill[0])), pad(rest, (0, fill[1]))[:, None]
    height, width = whitening.shape
    tile = TILE if triangular and whitening.device.type == "cpu" else width
    edges = [(a, min(a + tile, width)) for a in range(0, width, tile)]
    columns = [whitening[: b if triangular else height, a:b].T.contiguous() for a, b in edges]
    parts = [(a, b, part) for (a, b), part in zip(edges, columns, strict=True)]
    return Tiles(height, width, parts, None if exact else rest)


def distances(data: Tensor, center: Tensor, tiles: Tiles, kind: torch.dtype) -> Tensor:
    """|(data - center) W - rest|^2 of every pixel, (B, H, W, 1)."""
    # Data that do not lie in one piece are copied image by image.
    images = [data] if data.is_contiguous() else list(data)
    made = [_distances(image.reshape(-1, data.shape[-1]), center, tiles) for image in images]
    scores = made[0] if len(made) == 1 else torch.cat(made)
    return scores.view(*data.shape[:-1], 1).to(kind)


def _distances(pixels: Tensor, center: Tensor, tiles: Tiles) -> Tensor:
    dtype, device, (count, bands) = center.dtype, center.device, pixels.shape
    padded = count + -count % STEP
    size = (CPU_BLOCK if device.type == "cpu" else GPU_BLOCK) // (tiles.height * dtype.itemsize)
    block = min(STEP * max(size // STEP, LEAST), max(padded, STEP))
    rows = torch.zeros(block, tiles.height, dtype=dtype, device=device)
    white = torch.empty(tiles.width, block, dtype=dtype, device=device)
    scores = torch.empty(padded, dtype=dtype, device=device)
    for start in range(0, count, block):
        part = pixels[start : start + block]
        used = rows[: len(part), :bands]
        if part.dtype == dtype:
            torch.sub(part, center, out=used)
        else:
            used.copy_(part).sub_(center)
        into = scores[start : start + block]
        made = white[:, : len(into)]
        for a, b, columns in tiles.parts:
            torch.mm(columns, rows[: len(into), : columns.shape[1]].T, out=made[a:b])
        if tiles.rest is not None:
            made.sub_(tiles.rest)
        torch.sum(made.square_(), 0, out=into)
    # Where a pixel is not finite, an infinite score is none.
    return scores[:count].nan_to_num_(torch.nan, torch.nan)
