"""Global Reed-Xiaoli detection: how far a pixel lies from the background of the training data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import buffer
from specloom_rx.background import (
    Background,
    background_from,
    background_mask,
    inverse_weights,
    present_bands,
    warn_about_unsupported,
)
from specloom_rx.scoring import Distance
from specloom_rx.whitening import (
    check_regularisation,
    condition_growth,
    whiten,
    whiten_correlation,
)
from specloom_statistics import (
    EqualTensors,
    Moments,
    MomentsNode,
    TensorCache,
    map_moments,
    native_kernels,
)

if TYPE_CHECKING:
    from specloom_statistics import RunningVariance

# Of the engine without kernels; with those of specloom-native scores are computed in float64.
# Measured with offsets, and with pixels along the strongest direction, the hardest case: float32
# scores are within 8.2e-7 of float64 ones at a condition of 100, 8.2e-6 at 1e4, 2.4e-5 at 1e5.
FLOAT32_LIMIT = 1e5
# With gradients: up to here float32 scores are within 2e-5 of float64 ones, gradients within 1e-3.
TRAINING_LIMIT = 1e6


@node
class RXGlobal(MomentsNode[Moments]):
    """Scores each pixel by its squared Mahalanobis distance from the background of the fit.

    (x - m)^T S^-1 (x - m), with the mean m and the covariance S (divided by n - 1) of the pixels
    that the fit saw, regularised to S + eps^2 diag(S) + shrinkage * trace(S)/C * I. ``eps`` is
    relative to each band's standard deviation, so rescaling a band changes nothing.

    Constant bands are excluded, with a warning. Where the data support fewer directions than
    bands, the pseudo-inverse on the supported ones is used, with a warning. Scores are computed
    in float64 by the kernels of specloom-native; without them in float32 where the condition of
    S, at most 1e5, keeps them within 2.5e-5 of float64.

    With ``weights`` the data are x * weights: the statistics are those of x, and m * w and
    diag(w) S diag(w) are used, regularised as above. Gradients reach the weights; with
    ``shrinkage=0`` the scores do not depend on them, as RX is invariant to the scale of a band.

    Unfrozen, ``background_mean`` and the upper triangular ``factor`` M are parameters, with
    S^-1 = W M M^T W^T, W the whitening of the fit, and M the identity after it: S stays positive
    definite whatever the optimiser does.

    Source: I. S. Reed, X. Yu, IEEE Trans. ASSP 38(10), 1990, eq. 13.

    Args:
        num_channels: C; the graph infers it.
        eps: The regularisation relative to a band's standard deviation; 0 for none.
        cache_inverse: Store the whitening matrix, instead of computing it for every batch.
        shrinkage: The regularisation relative to the mean variance of the bands.

    Raises:
        ConfigError: ``eps`` or ``shrinkage`` is negative.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W num_channels", doc="Pixels; times the weights, where they are connected.")
    valid = Input(
        "B H W 1", "bool", optional=True, for_fit=True, labelled=False, doc="Pixels to fit."
    )
    mask = Input(
        "B H W 1", "bool", optional=True, for_fit=True, doc="Anomalies, which are not fitted."
    )
    weights = Input(
        "num_channels",
        optional=True,
        companion_of="data",
        companion_output="applied",
        doc="What the data were multiplied by; those of a selector are connected by the graph.",
    )
    scores = Output("B H W 1", unit="1", doc="Squared Mahalanobis distances.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"num_channels": 4}
    trainable = ("background_mean", "factor")
    affine_input = "data"
    linear_input = "data"
    moments_input = "data"
    fits_pixels = True

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
        # By the tensors themselves, and by the values of those that a batch comes with.
        self._cached_distance: TensorCache[Distance] = TensorCache()
        self._distance_of_values: TensorCache[Distance] = TensorCache()
        self._values_of_batch = EqualTensors()
        self.register_load_state_dict_post_hook(_state_loaded)  # type: ignore[no-untyped-call]  # torch has no types here
        self._factor_is_trained = False
        self._derive(size, size, 1.0, (1.0, 1.0, 1.0))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        mean = self.background_mean
        self.start_statistics(Moments(mean.numel(), mean.device))

    def fit_update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> None:
        """Add the usable background pixels of (B, H, W, C) ``data``."""
        if weights is not None:
            data = LazyAffine.of(data, inverse_weights(weights), torch.zeros(()), data.dtype)
        self.statistics().update(data, background_mask(valid, mask))

    def fit_moments(
        self,
        moments: Moments | RunningVariance,
        data: Tensor | LazyAffine,
        weights: Tensor | None = None,
    ) -> None:
        """Take in what ``fit_update`` would have collected of all batches."""
        factors = None if weights is None else inverse_weights(weights)
        self.statistics().merge(map_moments(moments, data, factors))

    def fit_end(self) -> None:
        """Compute the whitening matrix, and warn about excluded bands and directions."""
        moments = self.take_statistics()
        if moments.count:
            background = background_from(moments, self.eps, self.shrinkage)
            with torch.no_grad():
                self._set_background(background)
            warn_about_unsupported(self.label, background, moments.count, self.shrinkage)
        self.left_out = moments.left_out
        self.finish_fit(moments.count)

    def _set_background(self, background: Background) -> None:
        own = self.own_tensors()
        own["background_mean"].copy_(background.mean)
        own["covariance"].copy_(background.covariance)
        own["bands_used"].copy_(background.bands_used)
        own["rank"].copy_(background.rank)
        own["eigenvalues"].copy_(background.eigenvalues)
        torch.eye(own["factor"].shape[0], out=own["factor"])
        self._factor_is_trained = False
        self._derive_from_statistics(1.0)
        if self.cache_inverse:
            whitening = background.whitening
            if whitening is None:
                whitening = whiten_correlation(
                    background.correlation, background.bands_used, full_rank=self._full_rank
                )
            own["whitening"].copy_(whitening)

    def update_derived(self) -> None:
        """Derive from the saved state what ``forward`` needs on the host."""
        factor = self.factor.detach().triu()
        identity = torch.eye(len(factor)).to(factor)
        self._factor_is_trained = not torch.equal(factor, identity)
        growth = condition_growth(factor) if self._factor_is_trained else 1.0
        self._derive_from_statistics(growth)

    def _derive_from_statistics(self, growth: float) -> None:
        """Set what ``forward`` needs on the host.

        Args:
            growth: By how much a trained factor may raise the condition.
        """
        # As lists: torch takes longer to select a few numbers.
        of_bands = zip(self.covariance.diagonal().tolist(), self.bands_used.tolist(), strict=True)
        variances = [variance for variance, is_used in of_bands if is_used]
        # Where a band is below 1e-30 or above 1e30, its whitening does not fit into float32.
        if any(not 1e-60 <= variance <= 1e60 for variance in variances):
            growth = math.inf
        smallest, largest, without_shrinkage = self.eigenvalues.tolist()
        eigenvalues = (smallest, largest, without_shrinkage)
        self._derive(len(variances), int(self.rank), growth, eigenvalues)

    def _derive(
        self, bands: int, rank: int, growth: float, eigenvalues: tuple[float, float, float]
    ) -> None:
        """Set what ``forward`` needs on the host.

        Args:
            bands: The bands that are used.
            rank: The directions that the data support.
            growth: By how much a trained factor may raise the condition.
            eigenvalues: Smallest, largest, and smallest without shrinkage.
        """
        self._full_rank = rank == bands
        smallest, largest, smallest_without_shrinkage = eigenvalues
        # Under any weights, at unit diagonal, no eigenvalue is larger than the number of bands.
        condition = largest / smallest
        weighted_condition = bands / smallest_without_shrinkage
        # Pairs, without and with weights: whether float32 is precise enough for the scores.
        self._float32_scores = (
            growth * condition <= FLOAT32_LIMIT,
            growth * weighted_condition <= FLOAT32_LIMIT,
        )
        # The same with gradients, whatever training did to the factor: training that is resumed
        # would round otherwise.
        is_bounded = growth < math.inf
        self._float32_training = (
            is_bounded and condition <= TRAINING_LIMIT,
            is_bounded and weighted_condition <= TRAINING_LIMIT,
        )

    def freeze(self) -> None:
        """Turn the parameters back into buffers."""
        super().freeze()
        self.update_derived()

    def forward(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        return {"scores": self._distance(data, weights)(data)}

    def _distance(self, data: Tensor | LazyAffine | LazyLinear, weights: Tensor | None) -> Distance:
        """The distance under the map and the weights; on small images making it takes longest."""
        if torch.is_grad_enabled() or not self.cache_inverse:
            return self._make_distance(data, weights)
        own = self.own_tensors()
        factor = own["factor"]
        mean = own["background_mean"]
        kernels = native_kernels(mean.device)
        sources: list[object] = [
            data.dtype,
            kernels,
            mean,
            factor,
            own["whitening"],
            factor.requires_grad,
            self._float32_scores,
        ]
        of_batch: list[object] = []
        if isinstance(data, LazyAffine | LazyLinear):
            of_batch += data[1:3]
        if weights is not None:
            sources += [own["covariance"], own["bands_used"]]
            of_batch.append(weights)

        def make_unless_equal() -> Distance:
            make = partial(self._make_distance, data, weights)
            return self._distance_of_values(make, *sources, *self._values_of_batch(of_batch))

        return self._cached_distance(make_unless_equal, *sources, *of_batch)

    def _make_distance(
        self, data: Tensor | LazyAffine | LazyLinear, weights: Tensor | None = None
    ) -> Distance:
        dtype = torch.promote_types(data.dtype, self._precision(weights))
        if isinstance(data, LazyLinear):
            # The bands of a derivative are small differences of large numbers.
            dtype = torch.float64
        mean, whitening = self._metric(weights)
        return Distance(data, mean, whitening, dtype, triangular=self._full_rank)

    def _precision(self, weights: Tensor | None) -> torch.dtype:
        weighted = weights is not None
        if self.training and torch.is_grad_enabled():
            is_precise = self._float32_training[weighted]
        elif native_kernels(self.background_mean.device) is not None:
            is_precise = False  # by the kernels float64 takes no longer
        else:
            # While the factor trains, the condition is not known.
            is_precise = self._float32_scores[weighted] and not self.factor.requires_grad
        return torch.float32 if is_precise else torch.float64

    def _metric(self, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean and the whitening matrix under the weights."""
        mean = self.background_mean
        if weights is not None:
            bands = self.bands_used & present_bands(weights)
            used = torch.where(bands, weights.double(), 0)
            mean = mean * used
            whitening = self._whiten(self.covariance * torch.outer(used, used), bands)
        elif self.cache_inverse:
            whitening = self.whitening
        else:
            whitening = self._whiten(self.covariance, self.bands_used)
        if self._factor_is_trained or self.factor.requires_grad:
            whitening = whitening @ self.factor.triu()
        return mean, whitening

    def _whiten(self, covariance: Tensor, bands: Tensor) -> Tensor:
        return whiten(covariance, bands, self.eps, self.shrinkage, full_rank=self._full_rank)

    def degrees_of_freedom(self) -> int | None:
        """The directions that are scored; None once training has changed the factor."""
        if self._factor_is_trained:
            return None
        return int(self.rank)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        smallest, largest, _ = self.eigenvalues.tolist()
        parts = [f"{int(self.bands_used.sum())} bands", self.pixel_summary()]
        if not self._full_rank:
            parts.append(f"rank {int(self.rank)}")
        parts.append(f"condition {largest / smallest:.1e}")
        precision = "float64"
        if self._float32_scores[0] and native_kernels(self.background_mean.device) is None:
            precision = "float32"
        parts.append(f"scored in {precision}")
        return ", ".join(parts)


def _state_loaded(node: RXGlobal, _keys: object) -> None:
    node.update_derived()
