"""What the linear maps of bands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from specloom import LazyLinear
from specloom_pca import map_pixels, to_channels_last

if TYPE_CHECKING:
    from torch import Tensor

    from specloom import LazyAffine


def map_bands(data: Tensor | LazyAffine | LazyLinear, matrix: Tensor) -> Tensor:
    """``matrix @ x`` of every pixel of (B, H, W, C) ``data``, computed in float64, (B, H, W, K).

    A pixel that is not finite in every band is NaN.
    """
    return to_channels_last(map_pixels(data, [(matrix, None)]), data)


def lazy_bands(data: Tensor | LazyAffine | LazyLinear, matrix: Tensor) -> LazyLinear | LazyAffine:
    """The same, left to the readers."""
    offset = torch.zeros(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return LazyLinear.of(data, matrix, offset, data.dtype)
