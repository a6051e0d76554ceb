"""From values to colours: levels are made on the device, colours on the host.

The colours are of the palette of Okabe and Ito (2008, "Color Universal Design"). Those of hits,
false alarms and misses stay apart from each other and from every grey with each of the three
kinds of dichromatic vision, and ``LEFT_OUT`` is no grey, so that it never stands for a value.
"""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specloom.torch import usable_pixels

Picture: TypeAlias = NDArray[np.uint8]

FALSE_ALARM = (213, 94, 0)  # vermilion
MISS = (240, 228, 66)  # yellow
HIT = (86, 180, 233)  # sky blue
LEFT_OUT = (70, 80, 105)  # slate

# A pixel's class: decided + 2 * anomalous; 4 where it is left out.
OUT = 4
PALETTE = np.array([(0, 0, 0), FALSE_ALARM, MISS, HIT, LEFT_OUT], np.uint8)


def stretch(values: Tensor, usable: Tensor, cut: int = 0) -> Tensor:
    """Levels from 0 (lowest) to 255 (highest) for each image and channel: uint8, (B, H, W, K).

    A channel that does not vary gets 128; what the level is where pixels are not usable means
    nothing.

    Args:
        values: Real numbers, (B, H, W, K).
        usable: Pixels that count, bool (B, H, W).
        cut: One pixel in ``cut`` may lie beyond each end and is clipped, so that a few very
            bright pixels do not darken all others; 0 for none.
    """
    flat = values.double().flatten(1, 2)
    ordered = flat.masked_fill(~usable.flatten(1)[..., None], torch.inf).sort(1).values
    last = usable.flatten(1).sum(1) - 1
    first = last // cut if cut else torch.zeros_like(last)
    low, high = (_at(ordered, place.clamp(min=0)) for place in (first, last - first))
    level = torch.where(high > low, (flat - low) / (high - low), 0.5)
    return as_levels(level).view(values.shape)


def as_levels(values: Tensor) -> Tensor:
    """Levels from 0 to 255 of values from 0 to 1, clipped; uint8 of the same shape."""
    return (values.double().nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)


def classes(usable: Tensor, decisions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """What each pixel is painted as: uint8 (B, H, W, 1), see ``PALETTE``; 0 for its own level."""
    found = torch.zeros_like(usable, dtype=torch.uint8)
    if decisions is not None:
        found += decisions[..., 0].to(torch.uint8)
    if mask is not None:
        found += 2 * mask[..., 0].to(torch.uint8)
    return found.masked_fill(~usable, OUT)[..., None]


def usable(cube: Tensor, valid: Tensor | None, count: int) -> Tensor:
    """Which pixels of the first ``count`` images are finite and valid: bool (B, H, W)."""
    return usable_pixels(cube[:count], None if valid is None else valid[:count])


def painted(levels: Picture, kinds: NDArray[Any]) -> Picture:
    """The picture of levels, (H, W, 1) or (H, W, 3), with its classes, (H, W), painted over."""
    over = kinds[..., None] > 0
    return np.where(over, PALETTE[kinds], np.broadcast_to(levels, (*levels.shape[:2], 3)))


def heat(levels: Picture, kinds: NDArray[Any]) -> Picture:
    """The picture of levels, (H, W, 1), in the colours of viridis: dark blue, green, yellow."""
    from matplotlib import colormaps

    table = colormaps["viridis"](np.arange(256), bytes=True)[:, :3]
    return painted(table[levels[..., 0]], kinds)


def _at(ordered: Tensor, place: Tensor) -> Tensor:
    """The value of each image (B,) at its place, for each channel: (B, 1, K)."""
    return ordered.gather(1, place[:, None, None].expand(-1, 1, ordered.shape[-1]))
