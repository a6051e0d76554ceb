"""The adaptive coherence (cosine) estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specloom import LazyAffine, node, param
from specloom.torch import buffer
from specloom_targets.background_base import BackgroundDetector
from specloom_targets.blocks import Score, fill_up, score_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_targets.accumulator import TargetStatistics


@node
class ACE(BackgroundDetector):
    """Scores pixels by the cosine of their angle with the target in whitened space, -1 to 1.

    The signed square root of [(t - m)^T S^-1 (x - m)]^2 / [(t - m)^T S^-1 (t - m) (x - m)^T S^-1
    (x - m)], with the mean m and the covariance S of the background, regularised as in
    ``rx.RXGlobal``; ``squared`` gives the ratio itself, in which what is opposite to the target
    scores as the target does. A pixel that equals the mean scores 0; one that is not finite in a
    band scores NaN.

    Source: S. Kraut, L. L. Scharf and L. T. McWhorter, "Adaptive subspace detectors", IEEE Trans.
    Signal Processing 49(1), 2001.

    Args:
        squared: Give the square of the cosine, 0 to 1.
    """

    per_target = ("spectra", "directions")

    squared: bool = param(default=False, kw_only=True)

    center = buffer()
    whitening = buffer()
    directions = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        super().build(sizes)
        size = sizes["num_channels"]
        self.register_buffer("center", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(size, dtype=torch.float64))

    def _set_targets(self, statistics: TargetStatistics) -> None:
        background = self._background(statistics)
        whitening = self._whitening(background)
        white = self._whitened_targets(background, whitening)
        self._store("center", background.mean)
        self._store("whitening", whitening)
        self._store("directions", white / white.norm(dim=1, keepdim=True))

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        return score_pixels(data, self.center, self._cosines())

    def _cosines(self) -> Score:
        """The cosines of whitened pixels with the targets, or their squares."""
        whitening = fill_up(self.whitening.mT)
        directions = fill_up(self.directions)
        count = len(self.directions)

        def score(columns: Tensor) -> Tensor:
            white = whitening @ columns
            length = white.square().sum(0).sqrt()
            products = (directions @ white)[:count]
            divisors = torch.where(length > 0, length, 1)
            cosines = (products / divisors).clamp(-1, 1)
            if self.squared:
                return cosines.square()
            return cosines

        return score
