"""Three bands of a cube as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specloom import DataError
from specloom.torch import usable_pixels


def picked(cube: Tensor, indices: Tensor | Sequence[int]) -> Tensor:
    """The chosen bands of (B, H, W, C) ``cube``, (B, H, W, K), without waiting for a GPU.

    Args:
        cube: The cubes.
        indices: The bands: plain numbers, int64 (K,), or int64 (B, K) for a choice per image.

    Raises:
        DataError: A plain number is not a band of the cube.
    """
    if not isinstance(indices, Tensor):
        _require_bands(indices, cube.shape[-1])
        # Views, so that no index has to travel to the device.
        return torch.stack([cube[..., index] for index in indices], 1).movedim(1, -1)
    if indices.dim() == 1:
        return cube.index_select(-1, indices)
    by_pixel = indices[:, None, None].expand(*cube.shape[:3], -1)
    return cube.gather(-1, by_pixel)


def _require_bands(indices: Sequence[int], bands: int) -> None:
    for index in indices:
        if not 0 <= index < bands:
            raise DataError(
                f"band {index} is not one of the cube's {bands}",
                fix=f"choose bands from 0 to {bands - 1}",
            )


def min_max(channels: Tensor, valid: Tensor | None = None) -> Tensor:
    """(B, H, W, K) ``channels`` scaled to [0, 1] by the limits of each image and channel.

    The limits are those of the usable pixels: finite in every channel, and valid. The smallest
    becomes exactly 0, the largest exactly 1, a constant channel 0. What is not valid is limited
    to [0, 1]; a pixel that is not finite in some channel becomes NaN in all of them, and so does
    an image without a usable pixel. Gradients are finite in every case.

    Args:
        channels: The channels.
        valid: Pixels that give the limits, bool (B, H, W, 1); None for all.
    """
    # One plane a channel: rows of three are slow to reduce.
    channels = channels.movedim(-1, 1).contiguous().movedim(1, -1)
    finite = usable_pixels(channels)[..., None]
    usable = finite if valid is None else finite & valid
    # Zero in place of NaN: 0 * NaN would spoil the gradients of the limits.
    clean = torch.where(finite, channels, 0)
    low = torch.where(usable, clean, torch.inf).amin((1, 2), keepdim=True)
    high = torch.where(usable, clean, -torch.inf).amax((1, 2), keepdim=True)
    span = high - low
    scaled = (clean - low) / torch.where(span > 0, span, 1)
    return torch.where(finite & (span >= 0), scaled.clamp(0, 1), torch.nan).contiguous()
