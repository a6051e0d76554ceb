"""From pictures in [0, 1] to what CLIP's visual tower takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def usable(rgb: Tensor) -> Tensor:
    """Which pixels are finite in all three channels: bool (B, H, W, 1) of (B, H, W, 3)."""
    # 0 * x is NaN for NaN and infinities, and NaN survives a sum.
    return (rgb.detach() * 0).sum(-1, keepdim=True) == 0


def filled(rgb: Tensor, good: Tensor) -> Tensor:
    """The pictures with the mean colour of each one's usable pixels in place of the others."""
    known = torch.where(good, rgb, 0)
    count = good.sum((1, 2), keepdim=True)
    mean = known.detach().sum((1, 2), keepdim=True) / count.clamp(min=1)
    return torch.where(good, rgb, torch.where(count > 0, mean, 0.5))


def in_bytes(rgb: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) in [0, 1] as uint8 (B, 3, H, W), rounded; what is beyond is cut."""
    return (rgb.detach() * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 3, 1, 2)


def resized_bytes(pictures: Tensor, size: int) -> Tensor:
    """uint8 pictures (B, 3, H, W) in the size of the tower: bicubic, smoothed where they shrink."""
    if pictures.shape[2:] == (size, size):
        return pictures
    if pictures.device.type == "cpu":
        return _bicubic(pictures.contiguous(), size)
    made = _bicubic(pictures.float(), size)  # only CPUs take bytes
    return made.round().clamp(0, 255).to(torch.uint8)


def resized_by_pillow(pictures: Tensor, size: int) -> Tensor:
    """The same through Pillow, as the adapters were trained; the host waits for the pictures."""
    from PIL import Image

    rows = pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    bicubic = Image.Resampling.BICUBIC
    made = [np.asarray(Image.fromarray(row).resize((size, size), bicubic)) for row in rows]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).to(pictures.device)


def resized_floats(rgb: Tensor, size: int) -> Tensor:
    """Pictures (B, H, W, 3) in [0, 1] as (B, 3, size, size) in 0 to 255, with gradients.

    Nothing is rounded, and what bicubic resizing overshoots is kept.
    """
    scaled = rgb.clamp(0, 1).permute(0, 3, 1, 2) * 255
    if scaled.shape[2:] == (size, size):
        return scaled
    return _bicubic(scaled, size)


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) in 0 to 255 with CLIP's mean and standard deviation taken out."""
    device = pictures.device
    mean, std = (torch.tensor(one, device=device)[:, None, None] for one in (MEAN, STD))
    return (pictures.float() / 255 - mean) / std


def _bicubic(pictures: Tensor, size: int) -> Tensor:
    return interpolate(pictures, (size, size), mode="bicubic", align_corners=False, antialias=True)
