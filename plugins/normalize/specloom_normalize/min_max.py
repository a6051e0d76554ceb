"""Scaling of data to the range from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, Output, node
from specloom.torch import buffer
from specloom_normalize.limits import LimitStatistics
from specloom_normalize.scaling import Scaling, image_limits
from specloom_statistics import StreamingNode, TensorCache, image_masks


@node
class MinMaxNormalizer(StreamingNode[LimitStatistics]):
    """Scales data by their range: (x - low) / max(high - low, eps * range of all bands).

    By default ``low`` and ``high`` are the smallest and the largest value of all usable training
    data, so that training data come out between 0 and 1; constant data and constant bands give 0.
    The result does not depend on the unit of the data. NaN stays NaN.

    With ``quantiles`` the limits come from a random sample of 32,768 pixels (all of them, where
    there are no more), which a few hot pixels do not move; values beyond them leave [0, 1]
    unless ``clip`` is set. The sample does not depend on the order of the data.

    Args:
        eps: The smallest range of a band that is stretched to 1, as a share of the range of all
            bands.
        use_running_stats: Limits of the training data; else of each image alone, without a fit.
        per_channel: One pair of limits for each band, instead of one for all.
        quantiles: Two quantiles, such as (0.001, 0.999), instead of minimum and maximum.
        clip: Limit the result to [0, 1]; what is infinite becomes NaN.

    Raises:
        ConfigError: ``eps`` is not positive, or ``quantiles`` are not 0 <= low < high <= 1.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W C", doc="Pixels of any range.")
    valid = Input("B H W 1", "bool", optional=True, doc="Pixels that the limits may use.")
    normalized = Output("B H W C", unit="1", doc="Pixels scaled by the limits.")
    affine_output = "normalized"
    example: ClassVar[Mapping[str, object]] = {}

    eps: float = 1e-6
    use_running_stats: bool = True
    per_channel: bool = False
    quantiles: tuple[float, float] | None = None
    clip: bool = False

    low = buffer()
    high = buffer()

    def __post_init__(self) -> None:
        self._cached_scaling: TensorCache[Scaling] = TensorCache()

    @property
    def locality(self) -> str:
        """What an output pixel depends on: itself, or its image where that gives the limits."""
        return "pixel" if self.use_running_stats else "image"

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # it is only read
        """One pass over the training data, or none where each image gives its own limits."""
        return 1 if self.use_running_stats else 0

    @property
    def fits_pixels(self) -> bool:
        """Whether the fit sees a stream of pixels; a sample is drawn image by image."""
        return self.quantiles is None

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.use_running_stats:
            super().require_fitted()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the limits."""
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ConfigError(f"{self.label}: eps is {self.eps}", fix="set eps above 0")
        if self.quantiles is not None:
            low, high = self.quantiles
            if not 0 <= low < high <= 1:
                raise ConfigError(
                    f"{self.label}: quantiles are ({low}, {high})",
                    fix="set quantiles to two numbers from 0 to 1, the smaller one first",
                )
        self._channels = sizes["C"]
        if self.use_running_stats:
            shape = (self._channels,) if self.per_channel else ()
            self.register_buffer("low", torch.zeros(shape, dtype=torch.float64))
            self.register_buffer("high", torch.ones(shape, dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        limits = LimitStatistics(
            self._channels,
            self.low.device,
            per_channel=self.per_channel,
            quantiles=self.quantiles,
        )
        self.start_statistics(limits)

    def fit_update(self, data: Tensor, valid: Tensor | None = None) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)

    def fit_end(self) -> None:
        """Set the limits."""
        statistics = self.take_statistics()
        self.left_out = statistics.extremes.left_out
        self.finish_fit(statistics.extremes.count)
        low, high = statistics.limits()
        # Limits are numbers of the data's own precision: nothing is lost where they are applied.
        self.low.copy_(low.float())
        self.high.copy_(high.float())

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Scale (B, H, W, C) ``data``."""
        if self.use_running_stats:
            return {"normalized": self._scaling(data.dtype).apply(data, clip=self.clip)}
        images = []
        for image, mask in zip(data, image_masks(valid, len(data)), strict=True):
            rows = image.reshape(-1, data.shape[-1])
            low, high = image_limits(rows, mask, self.quantiles, per_channel=self.per_channel)
            scaling = Scaling.between(low, high, self.eps, data.dtype)
            images.append(scaling.apply(image, clip=self.clip))
        return {"normalized": torch.stack(images)}

    def forward_lazy(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """As ``forward``, but a ``LazyAffine`` unless the limits follow the image, or clip."""
        if not self.use_running_stats or self.clip:
            return self.forward(data, valid)
        scaling = self._scaling(data.dtype)
        return {"normalized": LazyAffine(data, scaling.scale, scaling.offset, data.dtype)}

    def _scaling(self, dtype: torch.dtype) -> Scaling:
        """The scaling by the limits, for data of a type; cached until a limit changes."""
        own = self.own_tensors()
        low = own["low"]
        high = own["high"]
        if torch.is_grad_enabled() and (low.requires_grad or high.requires_grad):
            return Scaling.between(low, high, self.eps, dtype)
        return self._cached_scaling(
            lambda: Scaling.between(low, high, self.eps, dtype), low, high, self.eps, dtype
        )

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        if not self.use_running_stats:
            return "each image gives its own limits"
        low = float(self.low.min())
        high = float(self.high.max())
        return f"{low:.6g} to {high:.6g}, {self.pixel_summary()}"
