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


def stretched(
    channels: Tensor,
    valid: Tensor | None = None,
    shares: tuple[float, float] | None = None,
) -> Tensor:
    """(B, H, W, K) ``channels`` scaled to [0, 1] by the limits of each image and channel.

    The limits are those of the usable pixels: finite in every channel, and valid. What lies at the
    lower limit or below becomes exactly 0, what lies at the upper limit or above exactly 1, a
    constant channel 0. A pixel that is not finite in some channel becomes NaN in all of them, and
    so does an image without a usable pixel. Gradients are finite in every case.

    Args:
        channels: The channels.
        valid: Pixels that give the limits, bool (B, H, W, 1); None for all.
        shares: Two quantiles as limits, such as (0.001, 0.999); None for smallest and largest.
    """
    # One plane a channel: rows of three are slow to reduce.
    channels = channels.movedim(-1, 1).contiguous().movedim(1, -1)
    finite = usable_pixels(channels)[..., None]
    usable = finite if valid is None else finite & valid
    # Zero in place of NaN: 0 * NaN would spoil the gradients of the limits.
    clean = torch.where(finite, channels, 0)
    if shares is None:
        low = torch.where(usable, clean, torch.inf).amin((1, 2), keepdim=True)
        high = torch.where(usable, clean, -torch.inf).amax((1, 2), keepdim=True)
    else:
        low, high = _quantiles(clean, usable, *shares)
    span = high - low
    scaled = (clean - low) / torch.where(span > 0, span, 1)
    # Few pixels may differ where both limits are equal: they are above, or they are not.
    scaled = torch.where(span > 0, scaled, (clean > high).to(scaled.dtype))
    return torch.where(finite & (span >= 0), scaled.clamp(0, 1), torch.nan).contiguous()


def _quantiles(
    channels: Tensor, usable: Tensor, lower: float, upper: float
) -> tuple[Tensor, Tensor]:
    """Two quantiles of the usable pixels of each image and channel, (B, 1, 1, K) each.

    With linear interpolation, and without waiting for a GPU: the tails of all pixels are sorted,
    not the pixels, and the place within them follows from the count of the usable ones.

    Args:
        channels: (B, H, W, K), all finite.
        usable: Which pixels count, bool (B, H, W, 1).
        lower: The lower quantile, 0 to 1.
        upper: The upper one.
    """
    planes = channels.permute(0, 3, 1, 2).flatten(2)
    counted = usable.permute(0, 3, 1, 2).flatten(2)
    count = counted.sum(2, keepdim=True)
    smallest = torch.where(counted, planes, torch.inf)
    largest = torch.where(counted, planes, -torch.inf)
    low = _order_statistic(smallest, count, lower, largest=False)
    high = _order_statistic(largest, count, 1 - upper, largest=True)
    return low[:, None, None], high[:, None, None]


def _order_statistic(values: Tensor, count: Tensor, share: float, *, largest: bool) -> Tensor:
    """The value, (B, K), that lies a share of ``count`` from the end of sorted (B, K, N) values."""
    size = values.shape[2]
    tail = min(int(share * (size - 1)) + 2, size)
    ends = values.topk(tail, dim=2, largest=largest).values
    place = share * (count.double() - 1).clamp(min=0).expand(-1, values.shape[1], -1)
    first = place.floor().long()
    second = (first + 1).clamp(max=tail - 1)
    left = ends.gather(2, first)
    right = ends.gather(2, second)
    step = (place - first).to(values.dtype)
    # At a whole place the right neighbour may be infinite, which 0 * infinity would spread.
    return torch.where(step > 0, left + step * (right - left), left)[..., 0]
