"""From pictures in [0, 1] to what CLIP's visual tower takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def finite_pixels(rgb: Tensor) -> Tensor:
    """Return which pixels of (B, H, W, 3) are finite in all channels: bool (B, H, W, 1)."""
    # 0 * x is NaN for NaN and infinities, and NaN survives a sum.
    zeros = (rgb.detach() * 0).sum(-1, keepdim=True)
    return zeros == 0


def fill_with_mean(rgb: Tensor, usable: Tensor) -> Tensor:
    """Return pictures (B, H, W, 3) with each one's mean colour in place of unusable pixels.

    Args:
        rgb: The pictures.
        usable: Which pixels are usable, bool (B, H, W, 1); without any the colour is grey.
    """
    masked = torch.where(usable, rgb, 0)
    count = usable.sum((1, 2), keepdim=True)
    mean = masked.detach().sum((1, 2), keepdim=True) / count.clamp(min=1)
    colour = torch.where(count > 0, mean, 0.5)
    return torch.where(usable, rgb, colour)


def to_bytes(rgb: Tensor) -> Tensor:
    """Return pictures (B, H, W, 3) in [0, 1] as uint8 (B, 3, H, W), rounded and clipped."""
    scaled = (rgb.detach() * 255).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 3, 1, 2)


def resize_bytes(pictures: Tensor, size: int) -> Tensor:
    """Resize uint8 pictures (B, 3, H, W) to the tower's size: bicubic, antialiased."""
    if pictures.shape[2:] == (size, size):
        return pictures
    if pictures.device.type == "cpu":
        return _bicubic(pictures.contiguous(), size)
    resized = _bicubic(pictures.float(), size)  # only CPUs take bytes
    return resized.round().clamp(0, 255).to(torch.uint8)


def resize_with_pillow(pictures: Tensor, size: int) -> Tensor:
    """Resize as ``resize_bytes``, by Pillow, as in the training of the adapters.

    The host waits for the pictures.
    """
    from PIL import Image

    resized = []
    for picture in pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy():
        image = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
        resized.append(np.asarray(image))
    stacked = torch.from_numpy(np.stack(resized))
    return stacked.permute(0, 3, 1, 2).to(pictures.device)


def resize_floats(rgb: Tensor, size: int) -> Tensor:
    """Return pictures (B, H, W, 3) in [0, 1] as (B, 3, size, size) in 0 to 255, with gradients.

    Nothing is rounded, and the overshoot of bicubic resizing is not clipped.
    """
    scaled = rgb.clamp(0, 1).permute(0, 3, 1, 2) * 255
    if scaled.shape[2:] == (size, size):
        return scaled
    return _bicubic(scaled, size)


def normalise(pictures: Tensor) -> Tensor:
    """Return pictures (B, 3, S, S) in 0 to 255 with CLIP's mean and deviation removed."""
    mean = torch.tensor(CLIP_MEAN, device=pictures.device)[:, None, None]
    std = torch.tensor(CLIP_STD, device=pictures.device)[:, None, None]
    return (pictures.float() / 255 - mean) / std


def _bicubic(pictures: Tensor, size: int) -> Tensor:
    return interpolate(pictures, (size, size), mode="bicubic", align_corners=False, antialias=True)
