"""Global Reed-Xiaoli detection: how far a pixel lies from the background of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, Internal, LazyAffine, NodeError, Output, node
from specloom.torch import StatisticalNode, buffer
from specloom_rx.background import (
    Background,
    background,
    background_rows,
    inverse_weights,
    present,
    warn_of_gaps,
)
from specloom_rx.kept import Kept
from specloom_rx.moments import Moments
from specloom_rx.scoring import Distance
from specloom_rx.whitening import check_regularisation, stretch, whiten

# Measured with offsets, and with pixels along the strongest direction, the hardest case: float32
# scores are within 8.2e-7 of float64 ones at a condition of 100, 8.2e-6 at 1e4, 2.4e-5 at 1e5.
FLOAT32_LIMIT = 1e5
# With gradients: up to here float32 scores are within 2e-5 of float64 ones, gradients within 1e-3.
TRAINING_LIMIT = 1e6


@node
class RXGlobal(StatisticalNode):
    """Scores each pixel by its squared Mahalanobis distance from the background of the fit.

    (x - m)^T S^-1 (x - m), with the mean m and the covariance S (divided by n - 1) of the pixels
    that the fit saw, regularised to S + eps^2 diag(S) + shrinkage * trace(S)/C * I. ``eps`` is
    relative to each band's standard deviation, so rescaling a band changes nothing; the existing
    system adds eps to the variances, where its effect depends on the units.

    Constant bands are left out, with a warning. Where the data support fewer directions than
    bands, the pseudo-inverse on the supported ones is used, with a warning. Scores are computed
    in float32 only where the condition of S, at most 1e5, keeps them within 2.5e-5 of float64.

    With ``weights`` the data are x * weights: the statistics are kept for x, and m * w and
    diag(w) S diag(w) are used, regularised as above. Gradients reach the weights; with
    ``shrinkage=0`` the scores do not depend on them, as RX is invariant to the scale of a band.

    Unfrozen, ``background_mean`` and the upper triangular ``factor`` M are parameters, with
    S^-1 = W M M^T W^T, W the whitening of the fit, and M the identity after it: S stays positive
    definite whatever the optimiser does.

    Source: I. S. Reed, X. Yu, IEEE Trans. ASSP 38(10), 1990, eq. 13.

    Args:
        num_channels: C; the graph infers it.
        eps: The regularisation relative to a band's standard deviation; 0 for none.
        cache_inverse: Keep the whitening matrix, instead of making it anew for every batch.
        shrinkage: The regularisation relative to the mean variance of the bands.

    Raises:
        ConfigError: ``eps`` or ``shrinkage`` is negative.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W num_channels", doc="Pixels; times the weights, where those are given.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to learn from.")
    mask = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Anomalies, not learned.")
    weights = Input("num_channels", optional=True, doc="What the data were multiplied by.")
    scores = Output("B H W 1", unit="1", doc="Squared Mahalanobis distances.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"num_channels": 5}
    trainable, affine_input = ("background_mean", "factor"), "data"

    num_channels: int | None = None
    eps: float = 1e-6
    cache_inverse: bool = True
    shrinkage: float = 0.0

    background_mean = buffer()
    covariance = buffer()
    factor = buffer()
    whitening = buffer()
    bands_used = buffer()
    rank = buffer()
    eigenvalues = buffer()
    _moments = Internal[Moments | None](None)
    _left_out = 0

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the statistics."""
        check_regularisation(self.label, self.eps, self.shrinkage)
        size = sizes["num_channels"]
        identity = torch.eye(size, dtype=torch.float64)
        self.register_buffer("background_mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("covariance", identity.clone())
        self.register_buffer("factor", identity.clone())
        if self.cache_inverse:
            self.register_buffer("whitening", identity.clone())
        self.register_buffer("bands_used", torch.ones(size, dtype=torch.bool))
        self.register_buffer("rank", torch.tensor(size))
        # Smallest and largest, then the smallest without shrinkage.
        self.register_buffer("eigenvalues", torch.ones(3, dtype=torch.float64))
        self._kept: Kept[Distance] = Kept()
        self.register_load_state_dict_post_hook(_settle)  # type: ignore[no-untyped-call]  # torch has no types here
        self.settle()

    def fit_start(self, pass_: int) -> None:
        """Forget earlier fits."""
        self.fitted = False
        self._moments = Moments(len(self.background_mean), self.background_mean.device)

    def fit_update(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> None:
        """Take in the usable background pixels of (B, H, W, C) ``data``."""
        if weights is not None:
            data = LazyAffine.of(data, inverse_weights(weights), torch.zeros(()), data.dtype)
        self._gathered().update(data, background_rows(valid, mask))

    def fit_state(self) -> Mapping[str, Tensor]:
        """Counts, mean and scatter so far."""
        return self._gathered().state()

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in what another process gathered."""
        self._gathered().merge(state)

    def fit_end(self) -> None:
        """Make the whitening matrix, and warn about bands and directions left out."""
        moments, self._moments = self._gathered(), None
        if moments.count:
            with torch.no_grad():
                self._learn(background(moments, self.eps, self.shrinkage), moments.count)
        self._left_out = moments.left_out
        self.finish_fit(moments.count)

    def _gathered(self) -> Moments:
        if self._moments is None:
            raise NodeError(f"{self.label} has not started a fit", fix="call fit_start(0) first")
        return self._moments

    def _learn(self, found: Background, count: int) -> None:
        for name, value in found._asdict().items():
            getattr(self, f"background_{name}" if name == "mean" else name).copy_(value)
        self.factor.copy_(torch.eye(len(self.factor)))
        self.settle()
        if self.cache_inverse:
            self.whitening.copy_(self._whiten(found.covariance, found.bands_used))
        warn_of_gaps(self.label, found, count)

    def settle(self) -> None:
        """Derive from the saved state what ``forward`` must know without asking the device."""
        factor = self.factor.detach().triu()
        self._trained = not torch.equal(factor, torch.eye(len(factor)).to(factor))
        used = int(self.bands_used.sum())
        self._full_rank = int(self.rank) == used
        growth = stretch(factor) if self._trained else 1.0
        # Where a band is below 1e-30 or above 1e30, its whitening does not fit into float32.
        if bool((self.covariance.diagonal()[self.bands_used].log10().abs() > 60).any()):
            growth = torch.inf
        least, most, bare = self.eigenvalues.tolist()
        # Under any weights, at unit diagonal, no eigenvalue is larger than the number of bands.
        plain, weighted = most / least, used / bare
        fits = growth < torch.inf
        self._float32 = growth * plain <= FLOAT32_LIMIT, growth * weighted <= FLOAT32_LIMIT
        # Not by what training did to the factor: a training that is resumed would round otherwise.
        self._rough = fits and plain <= TRAINING_LIMIT, fits and weighted <= TRAINING_LIMIT

    def freeze(self) -> None:
        """Turn the parameters back into buffers."""
        super().freeze()
        self.settle()

    def forward(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        return {"scores": self._distance(data, weights)(data)}

    def _distance(self, data: Tensor | LazyAffine, weights: Tensor | None) -> Distance:
        """The distance under the map and the weights; on small images making it takes longest."""
        dtype = torch.promote_types(data.dtype, self._precision(weights))

        def make() -> Distance:
            mean, whitening = self._metric(weights)
            return Distance(data, mean, whitening, dtype, triangular=self._full_rank)

        if weights is not None or torch.is_grad_enabled() or not self.cache_inverse:
            return make()
        maps = (data.scale, data.offset) if isinstance(data, LazyAffine) else ()
        return self._kept(make, dtype, self.background_mean, self.factor, self.whitening, *maps)

    def _precision(self, weights: Tensor | None) -> torch.dtype:
        # While the factor trains, nobody has looked at the condition.
        single = self._float32[weights is not None] and not self.factor.requires_grad
        if self.training and torch.is_grad_enabled():
            single = self._rough[weights is not None]
        return torch.float32 if single else torch.float64

    def _metric(self, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean and the whitening matrix under the weights."""
        mean = self.background_mean
        if weights is not None:
            bands = self.bands_used & present(weights)
            used = torch.where(bands, weights.double(), 0)
            mean = mean * used
            whitening = self._whiten(self.covariance * torch.outer(used, used), bands)
        elif self.cache_inverse:
            whitening = self.whitening
        else:
            whitening = self._whiten(self.covariance, self.bands_used)
        if self._trained or self.factor.requires_grad:
            whitening = whitening @ self.factor.triu()
        return mean, whitening

    def _whiten(self, covariance: Tensor, bands: Tensor) -> Tensor:
        return whiten(covariance, bands, self.eps, self.shrinkage, full_rank=self._full_rank)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        least, most, _ = self.eigenvalues.tolist()
        left_out = f" ({self._left_out} left out)" if self._left_out else ""
        rank = "" if self._full_rank else f"rank {int(self.rank)}, "
        return (
            f"{int(self.bands_used.sum())} bands, {self.pixels} pixels{left_out}, {rank}"
            f"condition {most / least:.1e}, scored in float{32 if self._float32[0] else 64}"
        )


def _settle(node: RXGlobal, _keys: object) -> None:
    node.settle()
