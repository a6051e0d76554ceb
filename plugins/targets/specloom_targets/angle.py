"""The spectral angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specloom import LazyAffine, NodeError, Output, node
from specloom_targets.blocks import Score, fill_up, score_pixels
from specloom_targets.distance_base import DistanceDetector

if TYPE_CHECKING:
    from specloom_targets.accumulator import TargetStatistics


@node
class SpectralAngle(DistanceDetector):
    """Measures the angle of each pixel with the targets, in radians: 0 for the same direction.

    arccos(x^T t / |x| |t|), in float64. ``scores`` is the angle with its sign turned, so that
    higher is more target-like. A pixel that is zero in all bands, or not finite in one, gives NaN.
    The fit learns only the bands of the scene, and the target where it comes from ``mask``.

    Source: F. A. Kruse et al., Remote Sensing of Environment 44(2-3), 1993.
    """

    angles = Output("B H W T", unit="rad", doc="Angles with each target; lower is more alike.")
    scores = Output("B H W T", unit="rad", doc="Angles with their sign turned, for deciders.")
    best_score = Output("B H W 1", unit="rad", doc="The highest score of all targets.")
    measure = "angles"

    def _set_targets(self, statistics: TargetStatistics) -> None:
        for name, length in zip(self.target_names, self.spectra.norm(dim=1), strict=True):
            if not bool(length > 0):
                raise NodeError(
                    f"{self.label}: the target {name!r} is zero in all bands",
                    fix="choose another target",
                )

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        """The angles (B, H, W, T)."""
        return score_pixels(data, None, self._angles())

    def _angles(self) -> Score:
        units = fill_up(self.spectra / self.spectra.norm(dim=1, keepdim=True))
        count = len(self.spectra)

        def score(columns: Tensor) -> Tensor:
            lengths = columns.square().sum(0).sqrt()
            cosines = (units @ columns)[:count] / lengths
            return torch.arccos(cosines.clamp(-1, 1))

        return score
