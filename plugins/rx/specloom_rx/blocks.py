"""Squared distances in blocks that stay in a core's cache, with bits that nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom.torch import map_blocks, no_memory

# A pixel's score must not depend on its place in a block, nor on its neighbours. That holds when
# no row falls into the remainder of a register tile: 96 is a multiple of all tile widths in use
# (8, 12, 16, 24, 32, 48), blocks are filled up to a multiple of it, and bands to one of 16.
STEP = 96
PADDING = 16
# Bytes of a block before it is multiplied; on a CPU it fits into a core's cache with the product,
# but less than 10 steps at a time cost more than what leaves the cache.
CPU_BLOCK = 1 << 20
GPU_BLOCK = 1 << 24
LEAST_STEPS = 10
# Values that a thread takes at a time: they take it about a millisecond.
PART_VALUES = 1 << 19
# The same with kernels.
NATIVE_PART_VALUES = 1 << 20
NATIVE_TYPES = (torch.float32, torch.float64)
# A triangular factor is multiplied in column tiles, which skips most of its zeros.
TILE = 32


class Tile(NamedTuple):
    """Some columns of W, transposed, without the rows that are zero."""

    start: int
    end: int
    columns: Tensor
    """(end - start, rows)."""


class Tiles(NamedTuple):
    """W^T in tiles, filled up with zeros to ``height`` rows and ``width`` columns of W."""

    height: int
    width: int
    tiles: list[Tile]
    rest: Tensor | None
    """(width, 1), or None where it is zero."""


def divide_into_tiles(whitening: Tensor, rest: Tensor | None, *, triangular: bool) -> Tiles:
    """Divide W into tiles.

    Args:
        whitening: W, (C, R).
        rest: (R,), or None where it is exactly zero.
        triangular: W is square and upper triangular.
    """
    below, behind = (-size % PADDING for size in whitening.shape)
    whitening = pad(whitening, (0, behind, 0, below))
    if rest is not None:
        rest = pad(rest, (0, behind))[:, None]
    height, width = whitening.shape
    step = width
    if triangular and whitening.device.type == "cpu":
        step = TILE
    tiles = []
    for start in range(0, width, step):
        end = min(start + step, width)
        rows = end if triangular else height
        tiles.append(Tile(start, end, whitening[:rows, start:end].T.contiguous()))
    return Tiles(height, width, tiles, rest)


def distances(data: Tensor, center: Tensor, tiles: Tiles, dtype: torch.dtype) -> Tensor:
    """|(data - center) W - rest|^2 of every pixel, (B, H, W, 1), as ``dtype``."""
    return _of_pixels(data, dtype, lambda pixels: _pixel_distances(pixels, center, tiles))


def native_distances(data: Tensor, kernel: Any) -> Tensor:
    """The distances of every pixel by a kernel of specloom-native, (B, H, W, 1)."""
    if data.dtype in NATIVE_TYPES and data.numel() <= PART_VALUES and data.is_contiguous():
        scores = torch.empty((*data.shape[:-1], 1), dtype=data.dtype)
        kernel(data, scores)
        return scores
    return _of_pixels(data, data.dtype, lambda pixels: _native_pixel_distances(pixels, kernel))


def _of_pixels(data: Tensor, dtype: torch.dtype, score: Callable[[Tensor], Tensor]) -> Tensor:
    # Data that do not lie in one piece are copied image by image.
    bands = data.shape[-1]
    if data.is_contiguous():
        scores = score(data.view(-1, bands))
    else:
        parts = [score(image.reshape(-1, bands)) for image in data]
        scores = torch.cat(parts)
    return scores.view(*data.shape[:-1], 1).to(dtype)


def _native_pixel_distances(pixels: Tensor, kernel: Any) -> Tensor:
    count, bands = pixels.shape
    dtype = pixels.dtype
    if dtype not in NATIVE_TYPES:
        dtype = torch.float64
    scores = torch.empty(count, dtype=dtype)
    parts = _parts(count, 1, bands, pixels.device, NATIVE_PART_VALUES)

    def score_part(number: int, _: None) -> None:
        kernel(pixels[parts[number]], scores[parts[number]])

    if len(parts) == 1:
        kernel(pixels, scores)
    else:
        map_blocks(score_part, len(parts), no_memory)
    return scores


def _block_rows(count: int, height: int, center: Tensor) -> int:
    """How many of ``count`` rows are multiplied at a time: a multiple of ``STEP``."""
    size = CPU_BLOCK if center.device.type == "cpu" else GPU_BLOCK
    rows = size // (height * center.dtype.itemsize)
    return min(STEP * max(rows // STEP, LEAST_STEPS), max(count, STEP))


class _Memory(NamedTuple):
    """What a thread works in."""

    rows: Tensor
    """(block, height); zeros behind the bands."""
    white: Tensor
    """(width, block)."""


def _pixel_distances(pixels: Tensor, center: Tensor, tiles: Tiles) -> Tensor:
    count = len(pixels)
    padded = count + -count % STEP
    block = _block_rows(padded, tiles.height, center)
    scores = center.new_empty(padded)
    parts = _parts(count, block, tiles.height, center.device)

    def new_memory() -> _Memory:
        rows = center.new_empty(block, tiles.height)
        rows[:, len(center) :] = 0
        return _Memory(rows, center.new_empty(tiles.width, block))

    def score_part(number: int, memory: _Memory) -> None:
        for start in range(parts[number].start, parts[number].stop, block):
            part = pixels[start : start + block]
            _score_block(part, center, tiles, memory, scores[start : start + block])

    map_blocks(score_part, len(parts), new_memory)
    # An infinite score means that the pixel was not finite.
    return scores[:count].nan_to_num_(torch.nan, torch.nan)


def _parts(
    count: int, block: int, height: int, device: torch.device, values: int = PART_VALUES
) -> list[slice]:
    """The rows that threads take at a time: whole blocks, on a GPU all of them."""
    step = count
    if device.type == "cpu":
        step = max(values // (height * block), 1) * block
    return [slice(start, min(start + step, count)) for start in range(0, count, max(step, 1))]


def _score_block(
    pixels: Tensor, center: Tensor, tiles: Tiles, memory: _Memory, scores: Tensor
) -> None:
    """Write the squared distances of some pixels, filled up to the length of ``scores``."""
    count, bands = pixels.shape
    centred = memory.rows[:count, :bands]
    if pixels.dtype == centred.dtype:
        torch.sub(pixels, center, out=centred)
    else:
        centred.copy_(pixels).sub_(center)
    size = scores.shape[0]
    white = memory.white[:, :size]
    for tile in tiles.tiles:
        used = memory.rows[:size, : tile.columns.shape[1]]
        torch.mm(tile.columns, used.T, out=white[tile.start : tile.end])
    if tiles.rest is not None:
        white.sub_(tiles.rest)
    torch.sum(white.square_(), 0, out=scores)
