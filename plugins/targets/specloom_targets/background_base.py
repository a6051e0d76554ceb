"""What detectors that know the background share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specloom import NodeError, node, param
from specloom_rx import (
    background_from,
    background_mask,
    check_regularisation,
    warn_about_unsupported,
    whiten,
)
from specloom_statistics import Moments
from specloom_targets.base import TargetDetector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_rx import Background as RXBackground
    from specloom_targets.accumulator import Background, TargetStatistics

ROUNDING = 64 * torch.finfo(torch.float64).eps
"""Differences from the mean that are not above this, over the mean, are rounding."""


@node
class BackgroundDetector(TargetDetector):
    """A detector of known targets that suppresses the background.

    Args:
        exclude_targets: Exclude the pixels of ``mask`` from the background.
        eps: The regularisation relative to a band's standard deviation; 0 for none.
        shrinkage: The regularisation relative to the mean variance of the bands.
    """

    exclude_targets: bool = param(default=True, kw_only=True)
    eps: float = param(default=1e-6, kw_only=True)
    shrinkage: float = param(default=0.0, kw_only=True)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        check_regularisation(self.label, self.eps, self.shrinkage)
        super().build(sizes)

    def _empty_background(self, channels: int, device: torch.device) -> Background:
        return Moments(channels, device)

    def _background_pixels(self, valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
        return background_mask(valid, mask if self.exclude_targets else None)

    def _background(self, statistics: TargetStatistics) -> RXBackground:
        """Mean and covariance of the background, with warnings where they support too little."""
        moments = statistics.background
        assert isinstance(moments, Moments), "_empty_background makes these"
        background = background_from(moments, self.eps, self.shrinkage)
        warn_about_unsupported(self.label, background, moments.count, self.shrinkage)
        return background

    def _whitening(self, background: RXBackground) -> Tensor:
        """W with S^-1 = W W^T, (C, C)."""
        full_rank = int(background.rank) == int(background.bands_used.sum())
        return whiten(
            background.covariance,
            background.bands_used,
            self.eps,
            self.shrinkage,
            full_rank=full_rank,
        )

    def _whitened_targets(self, background: RXBackground, whitening: Tensor) -> Tensor:
        """(t - m) W of every target, (T, C).

        Raises:
            NodeError: A target equals the mean, or differs from it only where nothing varies.
        """
        white = (self.spectra - background.mean) @ whitening
        energy = white.square().sum(1)
        # What the rounding of the mean alone amounts to.
        rounding = ((ROUNDING * background.mean) @ whitening.abs()).square().sum()
        for name, one in zip(self.target_names, energy, strict=True):
            if not bool(one > rounding):
                raise NodeError(
                    f"{self.label}: the target {name!r} equals the mean of the background in all "
                    "directions that vary",
                    fix="choose another target, or exclude its pixels from the background",
                )
        return white
