"""Projection of spectra onto the principal components of the training data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeGuard

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import buffer
from specloom_pca.components import principal_components, standardising_factors
from specloom_pca.pixel_maps import map_pixels, projects_natively, to_channels_last
from specloom_pca.projection import Projection, float32_suffices
from specloom_statistics import Moments, MomentsNode, TensorCache, warn_of_few_pixels


@node
class TrainablePCA(MomentsNode[Moments]):
    """Projects each pixel onto the leading principal components of the training data.

    (x - m) V^T, with the mean m of the pixels that the fit saw and the rows of V the unit
    eigenvectors of their covariance (divided by n - 1), by falling variance; with ``whiten``
    each component is divided by its standard deviation. The entry of the largest magnitude in
    each row of V is positive, as in scikit-learn. Ratios are over the variance of all bands, so
    that those of three components of real data sum to less than 1.

    The covariance is computed in float64 in one pass and decomposed; a singular value
    decomposition of the centred pixels, which ``init_method`` names, gives the same components
    but needs all pixels in memory. Pixels are projected in float64 by the kernels of
    specloom-native; without them in float32 where they are float32 and the variance of the first
    component is at most 100 times that of the last, else in float64; the mean is subtracted
    first, so that nothing is lost where it is much larger than the deviations.

    Where the data support fewer components than ``n_components`` (too few pixels, bands that are
    combinations of others, constant data), the remaining components are zero, and so are the
    projections on them, whitened or not; there is a warning. A pixel that is not finite in every
    band gives NaN and is not fitted.

    Unfrozen, the mean ``center`` and the rows ``directions`` are parameters; a gradient step
    leaves the rows neither orthogonal nor of unit length. A new fit resets both.

    Source: H. Hotelling, Journal of Educational Psychology 24(6), 1933.

    Args:
        n_components: K, at most the number of bands.
        whiten: Give each component unit variance.
        init_method: How the components are found; ``svd`` is the only way.
        eps: Components whose standard deviation, over that of the first, is not above this
            count as not supported.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``n_components`` is not from 1 to C, ``eps`` is negative, or
            ``init_method`` is unknown.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    projected = Output("B H W n_components", doc="Principal components of each pixel.")
    explained_variance_ratio = Output(
        "n_components", unit="1", doc="The share of each component in the total variance."
    )
    components = Output("n_components num_channels", unit="1", doc="The rows of V.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"n_components": 3}
    trainable = ("center", "directions")
    affine_input = "data"
    fits_pixels = True
    linear_input = "data"

    n_components: int
    whiten: bool = False
    init_method: Literal["svd"] = "svd"
    eps: float = 1e-6
    num_channels: int | None = None

    center = buffer()
    directions = buffer()
    variances = buffer()
    total_variance = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate mean and components."""
        count = self.n_components
        size = sizes["num_channels"]
        if not 1 <= count <= size:
            what = f"{self.label}: n_components is {count}, but the data have {size} channels"
            raise ConfigError(what, fix=f"set n_components to a number from 1 to {size}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise ConfigError(f"{self.label}: eps is {self.eps}", fix="set eps to 0 or more")
        if self.init_method != "svd":
            what = f"{self.label}: init_method is {self.init_method!r}"
            raise ConfigError(what, fix="remove init_method, or set it to 'svd'")
        self.register_buffer("center", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("directions", torch.eye(count, size, dtype=torch.float64))
        self.register_buffer("variances", torch.zeros(count, dtype=torch.float64))
        self._cached_projection: TensorCache[Projection] = TensorCache()
        self.register_buffer("total_variance", torch.zeros((), dtype=torch.float64))
        self.register_load_state_dict_post_hook(_state_loaded)  # type: ignore[no-untyped-call]  # torch has no types here
        self._has_float32_digits = False  # before a fit no component is supported

    def update_derived(self) -> None:
        """Derive from the saved state what ``forward`` needs on the host."""
        directions = self.directions.detach()
        self._has_float32_digits = float32_suffices(directions, self.variances)

    def freeze(self) -> None:
        """Turn the parameters back into buffers."""
        super().freeze()
        self.update_derived()

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(Moments(len(self.center), self.center.device))

    def fit_update(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)

    def fit_end(self) -> None:
        """Compute the components, and warn where the data support too few."""
        moments = self.take_statistics()
        self.left_out = moments.left_out
        self.finish_fit(moments.count)
        components = principal_components(moments.covariance(), self.n_components, self.eps)
        with torch.no_grad():
            self.center.copy_(moments.mean())
            self.directions.copy_(components.directions)
            self.variances.copy_(components.variances)
            self.total_variance.copy_(components.total)
        self.update_derived()
        if components.rank < self.n_components:
            text = (
                f"{self.label}: {moments.count} pixels support {components.rank} components; "
                f"the other {self.n_components - components.rank} of {self.n_components} are zero. "
                "Use more pixels, or lower n_components"
            )
            warnings.warn(text, UserWarning, stacklevel=2)
        elif self.whiten:
            fix = "fit more pixels, or set whiten: false"
            warn_of_few_pixels(self.label, moments.count, len(self.center), fix)

    def forward(self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None) -> Batch:
        """Project (B, H, W, C) ``data``."""
        projected = self._project(data)
        ratio = self.variances / self.total_variance.clamp(min=torch.finfo(torch.float64).tiny)
        return {
            "projected": to_channels_last(projected, data),
            "explained_variance_ratio": ratio.float(),
            "components": self.directions.float(),
        }

    def _project(self, data: Tensor | LazyAffine | LazyLinear) -> Tensor:
        """The projections of (B, H, W, C) ``data``, (B, K, H * W)."""
        if self._float32_suffices(data):
            sources: list[object] = [self.center, self.directions, self.variances]
            if isinstance(data, LazyAffine):
                sources += data[1:3]
            projection = self._cached_projection(
                lambda: Projection(data, self.center, self._matrix()), *sources
            )
            return projection(data)
        matrix = self._matrix()
        return map_pixels(data, [(matrix, -matrix @ self.center)])

    def _matrix(self) -> Tensor:
        matrix = self.directions
        if self.whiten:
            matrix = matrix * standardising_factors(self.variances)[:, None]
        return matrix

    def _float32_suffices(
        self, data: Tensor | LazyAffine | LazyLinear
    ) -> TypeGuard[Tensor | LazyAffine]:
        # While the directions train, nothing is known of their digits.
        if not self._has_float32_digits or self.directions.requires_grad:
            return False
        if projects_natively(self.center.device, self.n_components):
            return False  # by the kernels float64 takes no longer
        if isinstance(data, LazyLinear) or data.dtype != torch.float32:
            return False
        raw = data if isinstance(data, Tensor) else data.data
        if raw.dtype != torch.float32:
            return False
        inputs = [raw, self.center, self.directions]
        if isinstance(data, LazyAffine):
            inputs += [torch.as_tensor(data.scale), torch.as_tensor(data.offset)]
        return not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs))

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        total = float(self.total_variance)
        share = 100 * float(self.variances.sum()) / total if total else 0.0
        return (
            f"{self.n_components} components of {len(self.center)} bands, {self.pixel_summary()}, "
            f"{share:.4g} % of the variance"
        )


def _state_loaded(node: TrainablePCA, _keys: object) -> None:
    node.update_derived()
