"""From values to colours: levels are made on the device, colours on the host."""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_pictures.palette import EXCLUDED, FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

Picture: TypeAlias = NDArray[np.uint8]

# A pixel's class: predicted + 2 * anomalous; 4 where it is excluded.
EXCLUDED_CLASS = 4
PALETTE = np.array([(0, 0, 0), FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, EXCLUDED], np.uint8)


def stretch(values: Tensor, usable: Tensor, clip_one_in: int = 0) -> Tensor:
    """Return levels from 0 (lowest) to 255 (highest) for each image and channel: uint8.

    A channel that does not vary gets 128; the levels of unusable pixels mean nothing.

    Args:
        values: Real numbers, (B, H, W, K).
        usable: Pixels that count, bool (B, H, W).
        clip_one_in: One pixel in so many is clipped at each end, so that a few very bright
            pixels do not darken all others; 0 for none.
    """
    flat = values.double().flatten(1, 2)
    unusable = ~usable.flatten(1)[..., None]
    ordered = _sort_pixels(flat.masked_fill(unusable, torch.inf))
    last = usable.flatten(1).sum(1) - 1
    first = torch.zeros_like(last)
    if clip_one_in:
        first = last // clip_one_in
    low = _value_at(ordered, first.clamp(min=0))
    high = _value_at(ordered, (last - first).clamp(min=0))
    relative = torch.where(high > low, (flat - low) / (high - low), 0.5)
    return as_levels(relative).view(values.shape)


def _sort_pixels(values: Tensor) -> Tensor:
    """Return values (B, N, K), sorted over N."""
    if values.device.type != "cpu":
        return values.sort(1).values
    # NumPy's sort is about ten times as fast as that of torch.
    return torch.from_numpy(np.sort(np.from_dlpack(values.detach()), axis=1))


def _value_at(ordered: Tensor, place: Tensor) -> Tensor:
    """Return the value of each image (B,) at its place, for each channel: (B, 1, K)."""
    index = place[:, None, None].expand(-1, 1, ordered.shape[-1])
    return ordered.gather(1, index)


def as_levels(values: Tensor) -> Tensor:
    """Return levels from 0 to 255 of values from 0 to 1, clipped; uint8 of the same shape."""
    levels = values.double().nan_to_num(0.0).clamp(0, 1) * 255
    return levels.round().to(torch.uint8)


def classes(usable: Tensor, decisions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Return the class of each pixel: uint8 (B, H, W, 1), a row of ``PALETTE``.

    Pixels of class 0 are shown in their own level.
    """
    classes = torch.zeros_like(usable, dtype=torch.uint8)
    if decisions is not None:
        classes += decisions[..., 0].to(torch.uint8)
    if mask is not None:
        classes += 2 * mask[..., 0].to(torch.uint8)
    return classes.masked_fill(~usable, EXCLUDED_CLASS)[..., None]


def usable(cube: Tensor, valid: Tensor | None, count: int) -> Tensor:
    """Return which pixels of the first ``count`` images are finite and valid: bool (B, H, W)."""
    if valid is not None:
        valid = valid[:count]
    return usable_pixels(cube[:count], valid)


def paint_classes(levels: Picture, kinds: NDArray[Any]) -> Picture:
    """Return the picture of levels, (H, W, 1 or 3), with its classes, (H, W), painted over."""
    height, width = kinds.shape
    colours = np.broadcast_to(levels, (height, width, 3))
    return np.where(kinds[..., None] > 0, PALETTE[kinds], colours)


def paint_heat(levels: Picture, kinds: NDArray[Any]) -> Picture:
    """Return the picture of levels, (H, W, 1), in cividis, with its classes painted over."""
    from matplotlib import colormaps

    cividis = colormaps["cividis"](np.arange(256), bytes=True)[:, :3]
    return paint_classes(cividis[levels[..., 0]], kinds)
