"""The matched filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specloom import LazyAffine, node
from specloom.torch import buffer
from specloom_targets.background_base import BackgroundDetector
from specloom_targets.blocks import filter_scores, score_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_targets.accumulator import TargetStatistics


@node
class MatchedFilter(BackgroundDetector):
    """Scores pixels by the matched filter: 0 for the mean of the background, 1 for the target.

    (t - m)^T S^-1 (x - m) / (t - m)^T S^-1 (t - m), with the mean m and the covariance S (divided
    by n - 1) of the background, regularised as in ``rx.RXGlobal``: constant bands are excluded, and
    the pseudo-inverse is used where the data support fewer directions than bands, both with a
    warning. Scores are computed in float64. A pixel that is not finite in a band scores NaN.

    Source: D. Manolakis and G. Shaw, IEEE Signal Processing Magazine 19(1), 2002, "Detection
    algorithms for hyperspectral imaging applications", eq. 27.
    """

    per_target = ("spectra", "filters")

    center = buffer()
    filters = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        super().build(sizes)
        self.register_buffer("center", torch.zeros(sizes["num_channels"], dtype=torch.float64))

    def _set_targets(self, statistics: TargetStatistics) -> None:
        background = self._background(statistics)
        whitening = self._whitening(background)
        white = self._whitened_targets(background, whitening)
        energy = white.square().sum(1, keepdim=True)
        self._store("center", background.mean)
        self._store("filters", white @ whitening.T / energy)

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        return score_pixels(data, self.center, filter_scores(self.filters))
