"""Noise of a stream of images: differences of neighbouring pixels, or dark frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom_statistics import Moments, join_states, part_of_state

STEPS = {"right": (0, 1), "lower": (1, 0), "lowerright": (1, 1), "lowerleft": (1, -1)}
"""How many rows and columns away the neighbour is, by the direction."""

BLOCK_PIXELS = 1 << 14
"""Differences that are in memory together."""


class Pairs(NamedTuple):
    """Pixels of some rows of an image, and their neighbours."""

    first: Tensor
    """(N, C)."""
    second: Tensor
    valid: Tensor | None
    """Where both are valid, bool (N,); None for all."""


class SignalAndNoise:
    """Moments of pixels and of their noise, which merge.

    Args:
        channels: C.
        device: The device of the sums.
        direction: A key of ``STEPS``; None where the noise is that of dark frames.
    """

    def __init__(self, channels: int, device: torch.device, direction: str | None) -> None:
        self.signal = Moments(channels, device)
        self.noise = Moments(channels, device)
        self._direction = direction
        #: Columns of dark frames whose mean was estimated: each takes a degree of freedom.
        self.columns = 0

    def update(self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None) -> None:
        """Add the pixels of (B, H, W, C) ``data``, and the differences of neighbours.

        Args:
            data: The images.
            valid: The pixels to use, bool (B, H, W, 1); None for all.
        """
        self.signal.update(data, valid)
        if self._direction is None:
            return
        raw = data if isinstance(data, Tensor) else data.data
        for number, image in enumerate(raw.detach()):
            mask = None if valid is None else valid[number, ..., 0]
            for pairs in _pairs(image, mask, self._direction):
                differences = pairs.first.double() - pairs.second.double()
                self.noise.update(_under_map(differences, data), pairs.valid)

    def add_dark(self, dark: Tensor) -> None:
        """Add dark frames (lines, columns, C): what varies over the lines of each column."""
        frames = dark.detach().double()
        usable = frames.isfinite().all(-1, keepdim=True)
        frames = frames.where(usable, torch.nan)
        self.noise.update(frames - frames.nanmean(0))
        # A column without a usable pixel has no mean, which takes no degree of freedom.
        self.columns += int(usable.any(0).sum())

    def noise_covariance(self) -> Tensor:
        """The covariance of the noise, (C, C)."""
        if self._direction is None:
            # The mean of each column was estimated.
            return self.noise.covariance(ddof=max(self.columns, 1))
        return self.noise.covariance() / 2

    def state(self) -> dict[str, Tensor]:
        """All sums so far."""
        parts = join_states({"signal": self.signal.state(), "noise": self.noise.state()})
        return {"columns": torch.tensor(self.columns), **parts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self.columns += int(state["columns"])
        self.signal.merge(part_of_state(state, "signal"))
        self.noise.merge(part_of_state(state, "noise"))


def _pairs(image: Tensor, valid: Tensor | None, direction: str) -> Iterator[Pairs]:
    """Yield the pixels of (H, W, C) ``image`` that have a neighbour, and the neighbours."""
    below, right = STEPS[direction]
    height, width, channels = image.shape
    first_columns = slice(max(-right, 0), width - max(right, 0))
    second_columns = slice(max(right, 0), width - max(-right, 0))
    step = max(BLOCK_PIXELS // max(width, 1), 1)
    for top in range(0, height - below, step):
        bottom = min(top + step, height - below)
        first = slice(top, bottom)
        second = slice(top + below, bottom + below)
        both = None
        if valid is not None:
            both = valid[first, first_columns] & valid[second, second_columns]
            both = both.reshape(-1)
        yield Pairs(
            image[first, first_columns].reshape(-1, channels),
            image[second, second_columns].reshape(-1, channels),
            both,
        )


def _under_map(
    differences: Tensor, data: Tensor | LazyAffine | LazyLinear
) -> Tensor | LazyAffine | LazyLinear:
    """Differences of raw pixels under the map of ``data``, whose offset cancels out."""
    zero = differences.new_zeros(())
    if isinstance(data, LazyAffine):
        return LazyAffine(differences, data.scale, zero, differences.dtype)
    if isinstance(data, LazyLinear):
        return LazyLinear(differences, data.matrix, zero, differences.dtype)
    return differences
