"""Multiplicative scatter correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, LazyLinear, NodeError, Output, node
from specloom.torch import buffer
from specloom_pretreatments.pixels import Treated, treat_in_own_type
from specloom_pretreatments.spectra import centre, divide
from specloom_pretreatments.undefined import CountsUndefined
from specloom_statistics import RunningVariance, StreamingNode


@node
class MSC(CountsUndefined, StreamingNode[RunningVariance]):
    """Multiplicative scatter correction: each spectrum on the level and slope of the mean spectrum.

    (x - a) / b, with a and b of the least-squares fit of x = a + b m over the bands of a pixel, and
    m the mean spectrum of the pixels that the fit saw. A spectrum whose b is not above 0 gives NaN
    and is counted (``undefined_pixels``), as a pixel that is not finite in every band gives NaN.

    Source: P. Geladi, D. MacDougall, H. Martens, Applied Spectroscopy 39(3), 1985.

    Raises:
        ConfigError: The data have one band.
        NodeError: The fit saw no usable pixel, or the mean spectrum is constant.
    """

    data = Input("B H W C", doc="Spectra.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    treated = Output("B H W C", doc="Corrected spectra.")
    locality = "pixel"
    fits_pixels = True
    example: ClassVar[Mapping[str, object]] = {}

    reference = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the mean spectrum."""
        if sizes["C"] < 2:
            what = f"{self.label}: one band has no slope"
            raise ConfigError(what, fix="use data of two bands or more")
        self.register_buffer("reference", torch.zeros(sizes["C"], dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(RunningVariance(len(self.reference), self.reference.device))

    def fit_update(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)

    def fit_end(self) -> None:
        """Set the mean spectrum."""
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        self.reference.copy_(statistics.mean())
        if bool((self.reference == self.reference[0]).all()):
            self.fitted = False
            what = f"{self.label}: the mean spectrum of {statistics.count} pixels is constant"
            raise NodeError(what, fix="fit spectra that differ from band to band")

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        mean = self.reference.mean()
        centred_reference = self.reference - mean
        projection = (centred_reference / centred_reference.square().sum()).to(data.dtype)
        level = mean.to(data.dtype)

        def correct(spectra: Tensor, out: Tensor | None = None) -> Treated:
            centred = centre(spectra, out)
            slope = (centred * projection).sum(1, keepdim=True)
            # A slope that is NaN is that of a pixel that is not finite.
            undefined = slope[:, 0] <= 0
            scaled = divide(centred, slope, slope > 0, out)
            return Treated(torch.add(scaled, level, out=out), undefined)

        result = treat_in_own_type(data, correct)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"mean spectrum of {self.pixel_summary()}"
