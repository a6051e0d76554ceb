"""The first images of a stage."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specloom import ConfigError


class Gallery:
    """Keeps what is made of the first images, on the device, until the stage ends.

    Args:
        most: How many images; None for all.
    """

    def __init__(self, most: int | None) -> None:
        self._most, self._count = most, 0
        self._kept: list[Tensor] = []

    def room(self, images: int) -> int:
        """How many of so many further images are wanted."""
        return images if self._most is None else min(images, self._most - self._count)

    def add(self, levels: Tensor) -> None:
        """Keep levels, uint8 (B, H, W, K)."""
        self._kept.append(levels)
        self._count += len(levels)

    def arrays(self) -> list[NDArray[np.uint8]]:
        """What was kept of each image, (H, W, K), in the order in which they came."""
        return [image for levels in self._kept for image in levels.cpu().numpy()]


def check_count(label: str, name: str, value: int | None) -> None:
    """Raise ConfigError unless a number of images or batches is at least 1."""
    if value is not None and value < 1:
        fix = f"give {name} at least 1, or leave it out"
        raise ConfigError(f"{label} has {name}={value}", fix=fix)


def check_channels(label: str, name: str, channels: list[int], bands: int) -> None:
    """Raise ConfigError unless all channels are among the cube's bands."""
    if wrong := [channel for channel in channels if not 0 <= channel < bands]:
        what = f"{label} shows {name} {wrong[0]}, but the cubes have {bands} bands"
        raise ConfigError(what, fix=f"choose from 0 to {bands - 1}")
