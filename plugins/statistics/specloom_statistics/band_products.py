"""Products of pixels with a matrix of bands, which skip what is zero away from a diagonal."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

# Output bands at a time. More of them share more input bands, fewer skip more zeros.
TILE = 32
# Tiles are used where they save more than this share of the work of one product.
LEAST_SAVING = 0.25
# Sizes of products are multiples of the width of register tiles.
PADDING = 16


class BandTile(NamedTuple):
    """The rows of a matrix from ``first`` on, and the columns from ``start`` on that they need."""

    first: int
    start: int
    factor: Tensor
    """(columns, rows), the transposed part of the matrix."""


class BandProduct:
    """The product of pixels with a matrix of bands, in float64.

    A banded matrix, such as that of a filter along the bands, is divided into tiles that leave
    out the zeros away from its diagonal; a dense one is a single tile.

    Args:
        matrix: (K, C).
    """

    def __init__(self, matrix: Tensor) -> None:
        self.channels, self.bands = matrix.shape
        #: Columns of the rows to multiply, and of the products.
        self.row_width = self.bands + -self.bands % PADDING
        self.product_width = self.channels + -self.channels % PADDING
        below = self.product_width - self.channels
        behind = self.row_width - self.bands
        filled = pad(matrix.detach().double(), (0, behind, 0, below))
        self.tiles = _band_tiles(filled)

    def __call__(self, rows: Tensor, out: Tensor) -> None:
        """Write the products of ``rows`` into ``out``.

        Args:
            rows: (N, row_width), float64, with zeros behind the bands.
            out: (N, product_width), float64.
        """
        for first, start, factor in self.tiles:
            columns, channels = factor.shape
            part = rows[:, start : start + columns]
            torch.mm(part, factor, out=out[:, first : first + channels])


def _band_tiles(matrix: Tensor) -> list[BandTile]:
    """Tiles of a matrix, or a single one where they would save little."""
    # One copy to the host, not one for each tile.
    nonzero = matrix.cpu() != 0
    rows, columns = matrix.shape
    tiles = []
    work = 0
    for first in range(0, rows, TILE):
        last = min(first + TILE, rows)
        used = nonzero[first:last].any(0).nonzero()[:, 0]
        start = 0
        stop = PADDING
        if len(used):
            start = int(used[0]) // PADDING * PADDING
            stop = int(used[-1]) + 1
            stop += -stop % PADDING
        tiles.append(BandTile(first, start, matrix[first:last, start:stop].T.contiguous()))
        work += (last - first) * (stop - start)
    if work > (1 - LEAST_SAVING) * rows * columns:
        return [BandTile(0, 0, matrix.T.contiguous())]
    return tiles
