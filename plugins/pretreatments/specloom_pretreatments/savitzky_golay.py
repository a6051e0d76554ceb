"""Smoothing and derivatives by local polynomials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, DataError, Input, LazyAffine, LazyLinear, Output, node
from specloom_pretreatments.band_map import BandMap, CachedMap
from specloom_pretreatments.positions import band_positions, require_wavelengths

UNIFORM = 0.05
"""By how much a step of the bands may differ from the mean step, as a share of it."""


@node
class SavitzkyGolay(BandMap):
    """Smooths spectra, or takes their derivatives, by a polynomial in a window around each band.

    The value of band k is that of the polynomial of order ``degree`` that fits the ``window`` bands
    around k best, or its derivative; at the ends it is that of the first and of the last window, as
    SciPy's ``savgol_filter`` has it with ``mode="interp"``. Derivatives are per band, or per
    nanometre where the bands are uniform within 5 % (their mean step is used, which is negative for
    falling wavelengths).

    It is a banded linear map of the bands, which the kernel folds into PCA, MNF, RX and mixers
    behind it. Computed in float64. A pixel that is not finite in every band gives NaN.

    Source: A. Savitzky, M. J. E. Golay, Analytical Chemistry 36(8), 1964; ends: P. A. Gorry,
    Analytical Chemistry 62(6), 1990.

    Args:
        window: The number of bands, odd, at most that of the data.
        degree: The order of the polynomial, below ``window``.
        derivative: 0 to smooth, 1 and more for derivatives, at most ``degree``.
        per: Derivatives per ``band`` or per ``nm``; ``nm`` needs ``wavelengths``.

    Raises:
        ConfigError: A number is out of its range, or ``per`` is ``nm`` without wavelengths.
        DataError: ``per`` is ``nm``, and the bands are not uniform within 5 %.
    """

    data = Input("B H W C", doc="Spectra.")
    wavelengths = Input(
        "C", "real", unit="nm", optional=True, host=True, doc="Band centres, for per: nm."
    )
    treated = Output("B H W C", doc="Smoothed spectra, or their derivatives.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"window": 7}
    affine_input = "data"
    linear_input = "data"
    linear_output = "treated"

    window: int = 11
    degree: int = 2
    derivative: int = 0
    per: Literal["band", "nm"] = "band"

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        channels = sizes["C"]
        if self.window < 1 or self.window % 2 == 0:
            what = f"{self.label}: window is {self.window}"
            raise ConfigError(what, fix="set window to an odd number")
        if self.window > channels:
            what = f"{self.label}: window is {self.window}, but the data have {channels} bands"
            largest = channels - 1 + channels % 2
            raise ConfigError(what, fix=f"set window to an odd number up to {largest}")
        if not 0 <= self.degree < self.window:
            what = f"{self.label}: degree is {self.degree}, and window {self.window}"
            raise ConfigError(what, fix=f"set degree to a number from 0 to {self.window - 1}")
        if not 0 <= self.derivative <= self.degree:
            what = f"{self.label}: derivative is {self.derivative}, and degree {self.degree}"
            raise ConfigError(what, fix=f"set derivative to a number from 0 to {self.degree}")
        if self.per not in ("band", "nm"):
            what = f"{self.label}: per is {self.per!r}"
            raise ConfigError(what, fix="set per to 'band' or 'nm'")

    def forward(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        return self.apply_map(data, self._map(data, wavelengths))

    def forward_lazy(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """As ``forward``, with a ``LazyLinear``."""
        return self.map_lazily(data, self._map(data, wavelengths))

    def _map(self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None) -> CachedMap:
        channels = data.shape[-1]
        step = 1.0
        if self.per == "nm" and self.derivative:
            step = self._step(wavelengths, channels)
        raw = data if isinstance(data, Tensor) else data.data
        key = (channels, self.window, self.degree, self.derivative, step, raw.device)

        def make() -> Tensor:
            matrix = savitzky_golay_matrix(channels, self.window, self.degree, self.derivative)
            return (matrix / step**self.derivative).to(raw.device)

        return self.band_map(key, make)

    def _step(self, wavelengths: Tensor | None, channels: int) -> float:
        """The mean step of the bands in nm."""
        known = require_wavelengths(self.label, wavelengths)
        positions = band_positions(self.label, known, channels)
        if channels == 1:
            return 1.0
        steps = positions.diff()
        step = float(steps.mean())
        apart = float((steps - step).abs().max())
        if apart > UNIFORM * abs(step):
            what = (
                f"{self.label}: per is 'nm', and the bands are {float(steps.abs().min()):.3g} to "
                f"{float(steps.abs().max()):.3g} nm apart, which is not uniform within 5 %"
            )
            raise DataError(what, fix="resample the data to a uniform grid, or set per: band")
        return step


def savitzky_golay_matrix(channels: int, window: int, degree: int, derivative: int) -> Tensor:
    """The filter as a matrix of bands, float64 (C, C), per band.

    Args:
        channels: C.
        window: Odd, at most C.
        degree: Below ``window``.
        derivative: At most ``degree``.
    """
    half = window // 2
    # Positions scaled to -1..1, so that the least-squares fit keeps its digits.
    scale = max(half, 1)
    offsets = torch.arange(-half, half + 1, dtype=torch.float64) / scale
    powers = torch.arange(degree + 1, dtype=torch.float64)
    fit = torch.linalg.pinv(offsets[:, None] ** powers)
    matrix = torch.zeros(channels, channels, dtype=torch.float64)
    for band in range(channels):
        start = min(max(band - half, 0), channels - window)
        place = (band - start - half) / scale
        weights = torch.zeros(degree + 1, dtype=torch.float64)
        for power in range(derivative, degree + 1):
            factor = math.perm(power, derivative)
            weights[power] = factor * place ** (power - derivative) / scale**derivative
        matrix[band, start : start + window] = weights @ fit
    return matrix
