"""The first images of a stage."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from specloom import ConfigError


class Gallery:
    """Stores the levels of the first images, on the device, until the stage ends.

    Args:
        max_images: How many images; None for all.
    """

    def __init__(self, max_images: int | None) -> None:
        self._max_images = max_images
        self._count = 0
        self._batches: list[Tensor] = []

    def wanted(self, images: int) -> int:
        """Return how many of so many further images are wanted."""
        if self._max_images is None:
            return images
        return min(images, self._max_images - self._count)

    def add(self, levels: Tensor) -> None:
        """Store levels, uint8 (B, H, W, K)."""
        self._batches.append(levels)
        self._count += len(levels)

    def arrays(self) -> list[NDArray[np.uint8]]:
        """Return the levels of each image, (H, W, K), in the order in which they came."""
        images: list[NDArray[np.uint8]] = []
        for levels in self._batches:
            images.extend(levels.cpu().numpy())
        return images


def check_count(label: str, name: str, value: int | None) -> None:
    """Raise ConfigError unless a number of images or batches is at least 1."""
    if value is not None and value < 1:
        fix = f"set {name} to 1 or more, or remove it"
        raise ConfigError(f"{label} has {name}={value}", fix=fix)


def check_channels(label: str, name: str, channels: Sequence[int], bands: int) -> None:
    """Raise ConfigError unless all channels are among the cube's bands."""
    for channel in channels:
        if not 0 <= channel < bands:
            what = f"{label} shows {name} {channel}, but the cubes have {bands} bands"
            raise ConfigError(what, fix=f"choose from 0 to {bands - 1}")
