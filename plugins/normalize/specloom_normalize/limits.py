"""The statistics that limits of the training data follow from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom_statistics import PixelSample, RunningExtremes, image_masks

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class LimitStatistics:
    """Extremes of a stream of images, and a sample of its pixels where quantiles are the limits.

    Args:
        channels: C, the length of a pixel.
        device: The device of the extremes.
        per_channel: One pair of limits for each band, or one for all.
        quantiles: Two quantiles as limits; None for minimum and maximum.
    """

    def __init__(
        self,
        channels: int,
        device: torch.device,
        *,
        per_channel: bool,
        quantiles: tuple[float, float] | None,
    ) -> None:
        self.per_channel = per_channel
        self.quantiles = quantiles
        self.extremes = RunningExtremes(channels, device, per_channel=per_channel)
        self.sample = None if quantiles is None else PixelSample(channels)

    def update(self, data: Tensor, valid: Tensor | None = None) -> None:
        """Add the pixels of (B, H, W, C) ``data`` that are finite and ``valid``."""
        channels = data.shape[-1]
        mask = None if valid is None else valid.reshape(-1)
        self.extremes.update(data.reshape(-1, channels), mask)
        if self.sample is None:
            return
        for image, image_mask in zip(data, image_masks(valid, len(data)), strict=True):
            self.sample.update(image.reshape(-1, channels), image_mask)

    def limits(self) -> tuple[Tensor, Tensor]:
        """The lower and the upper limit, float64 () or (C,)."""
        if self.sample is None or self.quantiles is None:
            return self.extremes.low, self.extremes.high
        low, high = self.sample.quantiles(*self.quantiles, per_channel=self.per_channel)
        return low, high

    def state(self) -> Mapping[str, Tensor]:
        """Extremes, counts and sample so far."""
        sample = {} if self.sample is None else self.sample.state()
        return {**self.extremes.state(), **sample}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self.extremes.merge(state)
        if self.sample is not None:
            self.sample.merge(state)
