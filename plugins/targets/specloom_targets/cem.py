"""Constrained energy minimisation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from specloom import LazyAffine, NodeError, node
from specloom.torch import buffer
from specloom_rx import (
    background_from,
    scale_to_correlation,
    warn_about_unsupported,
    whiten,
)
from specloom_statistics import Moments
from specloom_targets.background_base import BackgroundDetector
from specloom_targets.blocks import filter_scores, score_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_rx import Background as RXBackground
    from specloom_targets.accumulator import TargetStatistics


class _Products(NamedTuple):
    """t^T R^-1 x of every target as products (x - center) + constants."""

    center: Tensor
    """(C,)."""
    products: Tensor
    """(T, C)."""
    constants: Tensor
    """(T, 1)."""


@node
class CEM(BackgroundDetector):
    """Scores pixels by constrained energy minimisation: 1 for the target, no mean removed.

    t^T R^-1 x / t^T R^-1 t, with the correlation matrix R = (sum of x x^T) / n of the background,
    whose scatter about the mean is regularised as in ``rx.RXGlobal``. R^-1 follows from the inverse
    of that scatter and the mean, so that an offset of the data costs no digits; where the data
    support fewer directions than bands, the pseudo-inverse of R is used, with a warning. Scores
    are computed in float64. A pixel that is not finite in a band scores NaN.

    Source: W. H. Farrand and J. C. Harsanyi, Remote Sensing of Environment 59(1), 1997.
    """

    per_target = ("spectra", "filters", "constants")

    center = buffer()
    filters = buffer()
    constants = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        super().build(sizes)
        self.register_buffer("center", torch.zeros(sizes["num_channels"], dtype=torch.float64))
        self.register_buffer("constants", torch.zeros(0, 1, dtype=torch.float64))

    def _set_targets(self, statistics: TargetStatistics) -> None:
        moments = statistics.background
        assert isinstance(moments, Moments), "_empty_background makes these"
        background = background_from(moments, self.eps, self.shrinkage)
        share = (moments.count - 1) / moments.count
        varying = int(background.bands_used.sum())
        if int(background.rank) == varying == len(background.mean):
            # All bands vary and are supported here, so that it warns of few pixels alone.
            warn_about_unsupported(self.label, background, moments.count, self.shrinkage)
            found = self._by_scatter(background, share)
        else:
            found = self._by_correlation(background, share, moments.count)
        gaps = self.spectra - found.center
        energy = (found.products * gaps).sum(1, keepdim=True) + found.constants
        for name, one in zip(self.target_names, energy.flatten(), strict=True):
            if not bool(one > 0):
                raise NodeError(
                    f"{self.label}: the background has nothing in the direction of the target "
                    f"{name!r}",
                    fix="choose another target, or set shrinkage",
                )
        self._store("center", found.center)
        self._store("filters", found.products / energy)
        self._store("constants", found.constants / energy)

    def _by_scatter(self, background: RXBackground, share: float) -> _Products:
        """The products by the formula of Sherman and Morrison, about the mean.

        In whitened space R is share * I + m m^T, and its inverse is known. With t = m + g and
        x = m + y nothing large is subtracted from anything large.
        """
        whitening = self._whitening(background)
        mean = background.mean @ whitening
        gaps = (self.spectra - background.mean) @ whitening
        total = share + mean @ mean
        along = (gaps @ mean)[:, None]
        white = mean / total + (gaps - along * mean / total) / share
        constants = (mean @ mean + along) / total
        return _Products(background.mean, white @ whitening.T, constants)

    def _by_correlation(self, background: RXBackground, share: float, count: int) -> _Products:
        """The products by the pseudo-inverse of R, with a warning where that is one."""
        mean = background.mean
        _, factor = scale_to_correlation(
            background.covariance, background.bands_used, self.eps, self.shrinkage
        )
        total = torch.where(background.bands_used, factor.square().reciprocal(), 0)
        ridge = torch.where(background.bands_used, total - background.covariance.diagonal(), 0)
        correlation = share * (background.covariance + torch.diag(ridge)) + torch.outer(mean, mean)
        used = correlation.diagonal() > 0
        whitening = whiten(correlation, used, 0.0, 0.0, full_rank=False)
        rank = int((whitening.abs().sum(0) > 0).sum())
        bands = len(mean)
        if rank < bands:
            warnings.warn(
                f"{self.label}: {count} background pixels support {rank} directions of {bands} "
                "bands; the others are excluded from the scores. Use more pixels, drop bands "
                "that are combinations of others, or set shrinkage",
                stacklevel=2,
            )
        products = self.spectra @ whitening @ whitening.T
        return _Products(torch.zeros_like(mean), products, products.new_zeros(len(products), 1))

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        return score_pixels(data, self.center, filter_scores(self.filters, self.constants))
