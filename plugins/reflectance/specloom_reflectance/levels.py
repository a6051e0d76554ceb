"""The counts from which values are saturated, as parameters state them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specloom import ConfigError


def level_tensor(label: str, name: str, level: float | Sequence[float], channels: int) -> Tensor:
    """The level of each band, float64 (C,).

    Args:
        label: The node, for messages.
        name: The parameter.
        level: One level for all bands, or one for each.
        channels: C.

    Raises:
        ConfigError: There are more or fewer levels than bands, or one is not above 0.
    """
    levels = torch.as_tensor(level, dtype=torch.float64)
    if not bool((levels > 0).all()):
        raise ConfigError(f"{label}: {name} is {level}", fix=f"set {name} above 0")
    if levels.ndim == 0:
        return levels.expand(channels).clone()
    if len(levels) != channels:
        raise ConfigError(
            f"{label}: {name} has {len(levels)} levels for {channels} bands",
            fix="write one number, or one for each band",
        )
    return levels


def unsaturated(data: Tensor, levels: Tensor) -> Tensor:
    """Where a pixel is below its level in every band, bool (B, H, W, 1); False where NaN.

    Args:
        data: Counts, (B, H, W, C).
        levels: (C,).
    """
    if data.is_floating_point():
        levels = levels.to(data.dtype)
    # As an integer a level would lose its fraction, and one beyond the type would wrap.
    return (data < levels).all(-1, keepdim=True)
