"""Memory for results of the size of a cube."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 18
"""Values at a time: 1 MB of float32 stays in a core's cache."""
PART = 1 << 21
"""Values that are written at a time: several large pages."""
LARGE = 1 << 22
"""Bytes from which NumPy requests large pages."""


def has_large_pages(data: Tensor) -> bool:
    """Whether ``new_memory`` requests large pages for a result like ``data``."""
    return data.device.type == "cpu" and data.numel() * data.element_size() >= LARGE


def new_memory(data: Tensor) -> Tensor:
    """Memory for a result in the shape and type of ``data``, on its device, with any content.

    On the CPU it comes from NumPy, which asks the system for large pages; torch does not, and
    the first touch of many small pages takes longer than the arithmetic: for a cube of 64 MB
    three times as long.
    """
    if not has_large_pages(data):
        return torch.empty_like(data, memory_format=torch.contiguous_format)
    raw = np.empty(data.numel() * data.element_size(), np.uint8)
    return torch.from_numpy(raw).view(data.dtype).view(data.shape)
