"""Rows of pixels in blocks that stay in a core's cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# 1024 rows x 61 bands in float64 are 0.5 MB and stay in a core's cache.
CPU_ROWS = 1024
GPU_ROWS = 65536
# Values that a thread takes at a time: they take it milliseconds, so that no thread waits long for
# the last one, and what is summed of them is merged seldom.
PART_VALUES = 1 << 19
# The same with kernels, which take half of the time.
NATIVE_PART_VALUES = 1 << 20


def rows_per_block(device: torch.device) -> int:
    """How many rows to work on at a time, in float64."""
    if device.type == "cpu":
        return CPU_ROWS
    return GPU_ROWS


def row_parts(
    count: int, columns: int, device: torch.device, values: int = PART_VALUES
) -> list[slice]:
    """The rows that threads take at a time; on a GPU all of them are one part.

    Args:
        count: The number of rows.
        columns: The values of a row.
        device: Where they are.
        values: How many values a thread takes.
    """
    step = count
    if device.type == "cpu":
        step = max(values // columns // CPU_ROWS, 1) * CPU_ROWS
    return [slice(start, min(start + step, count)) for start in range(0, count, max(step, 1))]


def image_masks(valid: Tensor | None, images: int) -> Sequence[Tensor | None]:
    """The mask (H*W,) of each image of ``valid`` (B, H, W, 1); None for each without ``valid``."""
    if valid is None:
        return [None] * images
    return [image.reshape(-1) for image in valid]


def row_blocks(rows: Tensor, size: int, keep: Tensor | None = None) -> Iterator[tuple[Tensor, int]]:
    """Yield the selected rows of each block of ``size``, and how many rows the block has.

    Args:
        rows: (N, C).
        size: The number of rows in a block; the last block may have fewer.
        keep: The rows to select, bool (N,); None for all.
    """
    # Shapes, as the length of a tensor takes torch longer than a slice.
    for start in range(0, rows.shape[0], size):
        block = rows[start : start + size]
        selected = block
        if keep is not None:
            mask = keep[start : start + size]
            if not bool(mask.all()):
                selected = block[mask]
        yield selected, block.shape[0]
