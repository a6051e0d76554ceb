"""Scaling of each band by quantiles of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import ConfigError, LazyAffine, LazyLinear, node
from specloom.torch import usable_pixels
from specloom_pretreatments.pixels import images_of
from specloom_pretreatments.scaling import BandScaling
from specloom_statistics import PixelSample, image_masks


class CountedSample:
    """A bounded sample of pixels, and how many were used and excluded; they merge.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        self.sample = PixelSample(channels)
        self.count = 0
        self.left_out = 0

    def update(self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None) -> None:
        """Add the finite pixels of (B, H, W, C) ``data`` that are ``valid`` (B, H, W, 1)."""
        masks = image_masks(valid, data.shape[0])
        for image, mask in zip(images_of(data), masks, strict=True):
            rows = image.detach().reshape(-1, data.shape[-1])
            usable = usable_pixels(rows)
            if mask is not None:
                usable = usable & mask
            self.sample.update(rows, usable)
            count = int(usable.sum())
            self.count += count
            self.left_out += len(rows) - count

    def state(self) -> Mapping[str, Tensor]:
        """Sample and counts so far."""
        counts = torch.tensor([self.count, self.left_out])
        return {**self.sample.state(), "counts": counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        count, left_out = state["counts"].tolist()
        self.count += int(count)
        self.left_out += int(left_out)
        self.sample.merge(state)


@node
class RobustScaling(BandScaling):
    """Scales each band by its median and a range of quantiles, which outliers do not move.

    (x - median) / (upper quantile - lower quantile), over the training data, as scikit-learn's
    ``RobustScaler``. The quantiles are those of a random sample of 32,768 pixels (of all, where
    there are no more), which depends neither on the order of the data nor on the number of
    processes. It is affine by band, so that the kernel folds it into PCA, MNF, RX and mixers behind
    it. What is not finite gives NaN in its band. Bands whose two quantiles are equal become 0, with
    a warning.

    Args:
        quantiles: The lower and the upper quantile.

    Raises:
        ConfigError: ``quantiles`` are not 0 <= low < high <= 1.
        NodeError: The fit saw no usable pixel.
    """

    example: ClassVar[Mapping[str, object]] = {}

    quantiles: tuple[float, float] = (0.25, 0.75)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the quantiles and allocate the scaling."""
        low, high = self.quantiles
        if not 0 <= low < high <= 1:
            what = f"{self.label}: quantiles are ({low}, {high})"
            raise ConfigError(
                what, fix="set quantiles to two numbers from 0 to 1, the smaller one first"
            )
        super().build(sizes)

    def fit_start(self, pass_: int) -> None:
        """Start with an empty sample."""
        self.start_statistics(CountedSample(len(self.scale)))

    def _sample(self) -> CountedSample:
        statistics = self.statistics()
        if not isinstance(statistics, CountedSample):
            raise TypeError(type(statistics).__name__)
        return statistics

    def fit_update(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self._sample().update(data, valid)

    def fit_end(self) -> None:
        """Set the scaling."""
        statistics = self._sample()
        self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        sample = statistics.sample
        low, high = sample.quantiles(*self.quantiles, per_channel=True)
        median, _ = sample.quantiles(0.5, 0.5, per_channel=True)
        self.set_scaling(median.to(self.scale), (high - low).to(self.scale))

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        low, high = self.quantiles
        return f"medians and quantiles {low:g} to {high:g}, {self.pixel_summary()}"
