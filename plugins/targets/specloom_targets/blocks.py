"""Scores of pixels in blocks, with bits that neither batch nor tile nor thread changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom import LazyAffine
from specloom.torch import usable_pixels

# A pixel's score must not depend on its place in a block: all sizes are filled up to multiples of
# the register tiles of matrix products, as in the plugin rx.
STEP = 96
PADDING = 16
CPU_ROWS = 10 * STEP
GPU_ROWS = 320 * STEP

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Pixels as columns, float64 (C + padding, N), to scores (T, N)."""


def fill_up(matrix: Tensor) -> Tensor:
    """A matrix with zeros behind its rows and columns, up to multiples of 16."""
    below, behind = (-size % PADDING for size in matrix.shape)
    return pad(matrix, (0, behind, 0, below))


def score_pixels(data: Tensor | LazyAffine, center: Tensor | None, score: Score) -> Tensor:
    """The scores (B, H, W, T) of (B, H, W, C) ``data``, in the type of ``data``; differentiable.

    A pixel that is not finite in every band gets NaN, carries no gradient and leaves the others
    as they are.

    Args:
        data: Cubes of any real type; the map of a ``LazyAffine`` is applied in float64.
        center: What is subtracted from each pixel first, float64 (C,); None for nothing.
        score: The scores of the pixels of a block.
    """
    parts = []
    for pixels in _blocks(data):
        usable = usable_pixels(pixels)
        values = pixels if center is None else pixels - center
        values = torch.where(usable[:, None], values, 0)
        rows, bands = values.shape
        filled = pad(values, (0, -bands % PADDING, 0, -rows % STEP))
        scores = score(filled.mT)[:, :rows].mT
        parts.append(torch.where(usable[:, None], scores, torch.nan))
    scores = torch.cat(parts)
    return scores.view(*data.shape[:-1], scores.shape[1]).to(data.dtype)


def _blocks(data: Tensor | LazyAffine) -> Iterator[Tensor]:
    """Yield the pixels of some rows of each image, float64 (N, C)."""
    raw = data.data if isinstance(data, LazyAffine) else data
    size = CPU_ROWS if raw.device.type == "cpu" else GPU_ROWS
    for image in raw:
        pixels = image.reshape(-1, raw.shape[-1])
        for part in pixels.split(size):
            values = part.double()
            if isinstance(data, LazyAffine):
                values = values * data.scale + data.offset
            yield values


def filter_scores(filters: Tensor, constants: Tensor | None = None) -> Score:
    """The products of each pixel with the rows of ``filters`` (T, C), plus ``constants`` (T, 1)."""
    matrix = fill_up(filters)
    count = len(filters)

    def score(columns: Tensor) -> Tensor:
        products = (matrix @ columns)[:count]
        if constants is None:
            return products
        return products + constants

    return score
