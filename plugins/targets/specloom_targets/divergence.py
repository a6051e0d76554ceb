"""The spectral information divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom import LazyAffine, NodeError, Output, node
from specloom.torch import buffer
from specloom_targets.blocks import Score, fill_up, score_pixels
from specloom_targets.distance_base import DistanceDetector

if TYPE_CHECKING:
    from specloom_targets.accumulator import TargetStatistics

FLOOR = torch.finfo(torch.float64).eps


@node
class SpectralInformationDivergence(DistanceDetector):
    """Measures the information divergence of each pixel from the targets: 0 for equal shapes.

    The sum of both Kullback-Leibler divergences (natural logarithm) of spectra that are normalised
    to the sum 1, in float64. Shares below machine epsilon are raised to it; the summary of the fit
    has their number. ``scores`` is the divergence with its sign turned, so that higher is more
    target-like. A pixel whose sum is not positive, or that is not finite in a band, gives NaN. The
    fit learns only the bands of the scene, and the target where it comes from ``mask``.

    Source: C.-I. Chang, IEEE Trans. Information Theory 46(5), 2000, eq. 6 to 8.
    """

    divergences = Output("B H W T", unit="1", doc="Divergences; lower is more alike.")
    scores = Output("B H W T", unit="1", doc="Divergences with their sign turned, for deciders.")
    measure = "divergences"

    floored = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        self.register_buffer("floored", torch.tensor(0))

    def fit_update(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        super().fit_update(data, valid, mask, wavelengths)
        counts = score_pixels(_as_values(data), None, _floored_counter(data.shape[-1]))
        counts = counts.double().nan_to_num(0)
        if valid is not None:
            counts = torch.where(valid, counts, 0)
        statistics = self.statistics()
        statistics.floored = statistics.floored + counts.sum().long()

    def _set_targets(self, statistics: TargetStatistics) -> None:
        for name, total in zip(self.target_names, self.spectra.sum(1), strict=True):
            if not bool(total > 0):
                raise NodeError(
                    f"{self.label}: the sum of the target {name!r} is {float(total):g}",
                    fix="choose a target of positive values",
                )
        self._store("floored", torch.tensor(int(statistics.floored)))

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        """The divergences (B, H, W, T)."""
        return score_pixels(data, None, self._divergences())

    def _divergences(self) -> Score:
        shares = _shares(self.spectra.mT).mT
        logarithms = shares.log()
        own = (shares * logarithms).sum(1, keepdim=True)
        by_shares = fill_up(shares)
        by_logarithms = fill_up(logarithms)
        count, bands = shares.shape

        def score(columns: Tensor) -> Tensor:
            pixel_shares = _shares(columns[:bands])
            pixel_logarithms = pixel_shares.log()
            pixel_own = (pixel_shares * pixel_logarithms).sum(0)
            crossed = by_logarithms @ _filled(pixel_shares)
            crossed = crossed + by_shares @ _filled(pixel_logarithms)
            return (pixel_own + own - crossed[:count]).clamp(min=0)

        return score

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        summary = super().fit_summary()
        if int(self.floored):
            summary = f"{summary}, {int(self.floored)} values raised to machine epsilon"
        return summary


def _as_values(data: Tensor | LazyAffine) -> Tensor | LazyAffine:
    """Data without gradients."""
    if isinstance(data, LazyAffine):
        return data._replace(data=data.data.detach())
    return data.detach()


def _shares(columns: Tensor) -> Tensor:
    """Columns of (C, N) with the sum 1, at least machine epsilon; NaN where no sum is positive."""
    sums = columns.sum(0)
    shares = (columns / torch.where(sums > 0, sums, 1)).clamp(min=FLOOR)
    return torch.where(sums > 0, shares, torch.nan)


def _floored_counter(bands: int) -> Score:
    """What counts the shares below machine epsilon of each pixel."""

    def count(columns: Tensor) -> Tensor:
        sums = columns[:bands].sum(0)
        shares = columns[:bands] / torch.where(sums > 0, sums, 1)
        return (shares < FLOOR).double().sum(0, keepdim=True)

    return count


def _filled(columns: Tensor) -> Tensor:
    """(C, N) with zeros behind its rows up to a multiple of 16."""
    return pad(columns, (0, 0, 0, -len(columns) % 16))
