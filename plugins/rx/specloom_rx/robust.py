"""Reed-Xiaoli detection whose background excludes the pixels with the highest scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import ConfigError, LazyAffine, LazyLinear, NodeError, node
from specloom.torch import buffer
from specloom_rx.background import (
    Background,
    background_from,
    background_mask,
    inverse_weights,
    warn_about_unsupported,
)
from specloom_rx.chi_square import chi_square_quantile, chi_square_share
from specloom_rx.detector import RXGlobal
from specloom_rx.scoring import mahalanobis
from specloom_rx.whitening import scale_to_correlation
from specloom_statistics import Moments, QuantileSketch


def consistency_factor(trim: float, degrees: int) -> float:
    """By how much the covariance of trimmed normal pixels is too small: (1 - trim) / F_{d+2}(q).

    Source: C. Croux, G. Haesbroeck, Journal of Multivariate Analysis 71(2), 1999.

    Args:
        trim: The share of pixels, of the largest distances, that is excluded.
        degrees: d, the dimensions of a pixel; q is the (1 - trim) quantile of chi-square with d.
    """
    if trim == 0 or degrees == 0:
        return 1.0
    share = 1 - trim
    quantile = chi_square_quantile(share, degrees)
    return share / chi_square_share(quantile, degrees + 2)


@node
class RobustRX(RXGlobal):
    """RX whose background excludes the pixels with the highest scores, which may be anomalies.

    The background is fitted, the share ``trim`` of the pixels with the highest scores is excluded,
    and the background is fitted again, ``rounds`` times. The covariance is multiplied by
    (1 - trim) / F_{C+2}(q), with q the (1 - trim) quantile of chi-square with C degrees of
    freedom, so that thresholds from chi-square hold for normal pixels as they do without trim; C
    is the number of directions that the pixels support. Everything else is as in ``RXGlobal``.

    The scores of a round are counted in bins that merge (``QuantileSketch``): the threshold is at
    most 1.3e-4 of its value too high. The data are read 1 + 2 * rounds times.

    Source: P. J. Rousseeuw, K. Van Driessen, Technometrics 41(3), 1999 (concentration step).

    Args:
        num_channels: C; the graph infers it.
        eps: The regularisation relative to a band's standard deviation; 0 for none.
        cache_inverse: Store the whitening matrix, instead of computing it for every batch.
        shrinkage: The regularisation relative to the mean variance of the bands.
        trim: The share of the pixels that is excluded, from 0 to below 1.
        rounds: How often the background is fitted again.

    Raises:
        ConfigError: ``trim``, ``rounds``, ``eps`` or ``shrinkage`` is out of range.
        NodeError: The fit saw no usable pixel.
    """

    # With 5 bands too few pixels of the conformance kit would be left.
    example: ClassVar[Mapping[str, object]] = {"num_channels": 4}

    trim: float = 0.1
    rounds: int = 1

    threshold = buffer()
    trimmed = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        if not 0 <= self.trim < 1:
            what = f"{self.label}: trim is {self.trim}"
            raise ConfigError(what, fix="set trim to a number from 0 to below 1")
        if self.rounds < 0:
            what = f"{self.label}: rounds is {self.rounds}"
            raise ConfigError(what, fix="set rounds to 0 or more")
        super().build(sizes)
        self.register_buffer("threshold", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("trimmed", torch.tensor(0))
        self._pass = 0
        self._sketch: QuantileSketch | None = None
        self._background_count = 0

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # it is only read
        """How often the data are read: the scores of each round need two passes more."""
        return 1 + 2 * self.rounds

    def fit_start(self, pass_: int) -> None:
        """Start a pass: moments in even ones, scores in odd ones."""
        self._pass = pass_
        self.fitted = False
        if pass_ == 0:
            self.threshold.fill_(math.inf)
        if pass_ % 2:
            self._sketch = QuantileSketch(self.background_mean.device)
            return
        super().fit_start(pass_)

    def fit_update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> None:
        """Add the usable background pixels of (B, H, W, C) ``data``, or their scores."""
        if weights is not None:
            data = LazyAffine.of(data, inverse_weights(weights), torch.zeros(()), data.dtype)
        background = background_mask(valid, mask)
        if self._pass == 0:
            self.statistics().update(data, background)
            return
        scores = self._background_scores(data)
        if self._pass % 2:
            self._current_sketch().update(scores, background)
            return
        low = scores <= self.threshold
        if background is not None:
            low &= background
        self.statistics().update(data, low)

    def _background_scores(self, data: Tensor | LazyAffine | LazyLinear) -> Tensor:
        """Squared distances from the background of the round before, in float64, (B*H*W,)."""
        wide = LazyAffine.of(data, torch.ones(()), torch.zeros(()), torch.float64)
        whitening = self._whiten(self.covariance, self.bands_used)
        with torch.no_grad():
            scores = mahalanobis(wide, self.background_mean, whitening, torch.float64)
        return scores.flatten()

    def _current_sketch(self) -> QuantileSketch:
        if self._sketch is None:
            raise NodeError(f"{self.label} has not started a fit", fix="call fit_start(0) first")
        return self._sketch

    def fit_state(self) -> Mapping[str, Tensor]:
        """The statistics of the pass so far."""
        if self._pass % 2:
            return self._current_sketch().state()
        return super().fit_state()

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the statistics of another process in the same pass."""
        if self._pass % 2:
            self._current_sketch().merge(state)
            return
        super().fit_merge(state)

    def fit_end(self) -> None:
        """Set the threshold of the round, or the background."""
        if self._pass % 2:
            sketch = self._current_sketch()
            self._sketch = None
            if sketch.count:
                self.threshold.fill_(sketch.upper_bound(1 - self.trim))
            return
        moments = self.take_statistics()
        if self._pass == 0:
            self.left_out = moments.left_out
            self._background_count = moments.count
        self.trimmed.fill_(self._background_count - moments.count)
        if moments.count:
            background = self._scaled_background(moments)
            with torch.no_grad():
                self._set_background(background)
        if self._pass == self.fit_passes - 1:
            if moments.count:
                warn_about_unsupported(self.label, background, moments.count, self.shrinkage)
            self.finish_fit(moments.count)

    def _scaled_background(self, moments: Moments) -> Background:
        background = background_from(moments, self.eps, self.shrinkage)
        if self._pass == 0:
            return background
        factor = consistency_factor(self.trim, int(background.rank))
        covariance = background.covariance * factor
        correlation = scale_to_correlation(
            covariance, background.bands_used, self.eps, self.shrinkage
        )
        return background._replace(covariance=covariance, correlation=correlation, whitening=None)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"{super().fit_summary()}, {int(self.trimmed)} pixels trimmed"
