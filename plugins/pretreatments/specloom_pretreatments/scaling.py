"""Scaling of each band by statistics of the training data."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import buffer
from specloom_pretreatments.pixels import treat_bands
from specloom_statistics import Accumulator, RunningVariance, StreamingNode

SHOWN_BANDS = 10
"""How many bands a warning lists."""


@node
class BandScaling(StreamingNode[Accumulator]):
    """Scales each band to ``x * scale + offset``, as statistics of the training data say.

    It is affine by band, so that the kernel folds it into PCA, MNF, RX and mixers behind it.
    Computed in float64. What is not finite gives NaN in its band.
    """

    data = Input("B H W C", doc="Pixels of any range.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    treated = Output("B H W C", doc="Scaled pixels.")
    locality = "pixel"
    affine_output = "treated"
    affine_input = "data"
    linear_input = "data"

    scale = buffer()
    offset = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the scaling."""
        self.register_buffer("scale", torch.ones(sizes["C"], dtype=torch.float64))
        self.register_buffer("offset", torch.zeros(sizes["C"], dtype=torch.float64))

    @abstractmethod
    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""

    def set_scaling(self, center: Tensor, spread: Tensor) -> None:
        """Scale to ``(x - center) / spread``, both (C,); bands without a spread become 0."""
        varies = spread > 0
        scale = torch.where(varies, 1 / spread.where(varies, 1), 0)
        self.scale.copy_(scale)
        self.offset.copy_(-center * scale)
        constant = (~varies).nonzero()[:, 0].tolist()
        if not constant:
            return
        shown = ", ".join(map(str, constant[:SHOWN_BANDS]))
        if len(constant) > SHOWN_BANDS:
            shown = f"{shown}, ..."
        text = (
            f"{self.label}: {len(constant)} of {len(spread)} bands do not vary over the "
            f"{self.pixels} pixels of the fit, and become 0: {shown}"
        )
        warnings.warn(text, UserWarning, stacklevel=4)

    def forward(self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        return {"treated": treat_bands(data, self.scale, self.offset)}

    def forward_lazy(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> Batch:
        """As ``forward``, with a map in place of the values."""
        return {"treated": LazyAffine.of(data, self.scale, self.offset, data.dtype)}


class MomentScaling(BandScaling):
    """A scaling by mean and standard deviation of each band."""

    fits_pixels = True

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(RunningVariance(len(self.scale), self.scale.device))

    def fit_update(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self._moments().update(data, valid)

    def _moments(self) -> RunningVariance:
        statistics = self.statistics()
        if not isinstance(statistics, RunningVariance):
            raise TypeError(type(statistics).__name__)
        return statistics

    def fit_end(self) -> None:
        """Set the scaling."""
        moments = self._moments()
        self.take_statistics()
        self.left_out = moments.left_out
        self.finish_fit(moments.count)
        mean = moments.mean()
        variance = moments.variance()
        # A band that varies by the rounding of its mean is constant.
        least = (64 * torch.finfo(torch.float64).eps * mean).square()
        deviation = torch.where(variance > least, variance, 0).sqrt()
        self.apply_moments(mean, deviation)

    @abstractmethod
    def apply_moments(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the scaling from mean and standard deviation (divided by n), (C,)."""


@node
class MeanCentring(MomentScaling):
    """Subtracts from each band its mean over the training data.

    It is affine by band, so that the kernel folds it into PCA, MNF, RX and mixers behind it.
    Computed in float64. What is not finite gives NaN in its band.

    Raises:
        NodeError: The fit saw no usable pixel.
    """

    example: ClassVar[Mapping[str, object]] = {}

    def apply_moments(self, mean: Tensor, deviation: Tensor) -> None:
        """Subtract the mean."""
        self.scale.fill_(1)
        self.offset.copy_(-mean)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"means of {len(self.scale)} bands, {self.pixel_summary()}"


@node
class UnitVariance(MomentScaling):
    """Divides each band by its standard deviation over the training data, which is divided by n.

    It is affine by band, so that the kernel folds it into PCA, MNF, RX and mixers behind it.
    Computed in float64. What is not finite gives NaN in its band. Bands that are constant in the
    training data become 0, with a warning.

    Raises:
        NodeError: The fit saw no usable pixel.
    """

    example: ClassVar[Mapping[str, object]] = {}

    def apply_moments(self, mean: Tensor, deviation: Tensor) -> None:
        """Divide by the standard deviation."""
        self.set_scaling(torch.zeros_like(mean), deviation)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"standard deviations of {len(self.scale)} bands, {self.pixel_summary()}"


@node
class ZScore(MomentScaling):
    """Scales each band to mean 0 and standard deviation 1 over the training data.

    (x - mean) / std, the standard deviation divided by n, as scikit-learn's ``StandardScaler``. It
    is affine by band, so that the kernel folds it into PCA, MNF, RX and mixers behind it. Computed
    in float64. What is not finite gives NaN in its band. Bands that are constant in the training
    data become 0, with a warning.

    Raises:
        NodeError: The fit saw no usable pixel.
    """

    example: ClassVar[Mapping[str, object]] = {}

    def apply_moments(self, mean: Tensor, deviation: Tensor) -> None:
        """Subtract the mean and divide by the standard deviation."""
        self.set_scaling(mean, deviation)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"means and standard deviations of {len(self.scale)} bands, {self.pixel_summary()}"
