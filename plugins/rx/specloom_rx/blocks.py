"""Squared distances in blocks that stay in a core's cache, with bits that nothing changes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

# A pixel's score must not depend on its place in a block, nor on its neighbours. That holds when
# no row falls into the remainder of a register tile: 96 is a multiple of all tile widths in use
# (8, 12, 16, 24, 32, 48), blocks are filled up to a multiple of it, and bands to one of 16.
CPU_BLOCK, GPU_BLOCK, STEP = 960, 15360, 96
PADDING = 16
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
    dtype, device, bands = center.dtype, data.device, data.shape[-1]
    pixels_each = data.shape[1] * data.shape[2]
    block = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
    block = min(block, max(pixels_each + -pixels_each % STEP, STEP))
    rows = torch.zeros(block, tiles.height, dtype=dtype, device=device)
    white = torch.empty(tiles.width, block, dtype=dtype, device=device)
    scores = torch.empty(*data.shape[:-1], 1, dtype=kind, device=device)
    for image, out in zip(data, scores, strict=True):
        pixels, flat = image.reshape(-1, bands), out.view(-1)
        for start in range(0, pixels_each, block):
            part = pixels[start : start + block]
            used = rows[: len(part), :bands]
            if part.dtype == dtype:
                torch.sub(part, center, out=used)
            else:
                used.copy_(part).sub_(center)
            filled = len(part) + -len(part) % STEP
            made = white[:, :filled]
            for a, b, columns in tiles.parts:
                torch.mm(columns, rows[:filled, : columns.shape[1]].T, out=made[a:b])
            if tiles.rest is not None:
                made.sub_(tiles.rest)
            flat[start : start + block] = made.square_().sum(0)[: len(part)]
    # This turns an infinity into NaN and changes nothing else.
    return scores.add_(scores * 0)
