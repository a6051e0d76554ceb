"""Projection of spectra onto the directions in which signal exceeds noise most."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import (
    Batch,
    ConfigError,
    DataError,
    Input,
    LazyAffine,
    LazyLinear,
    NodeError,
    Output,
    node,
)
from specloom.torch import buffer
from specloom_pca.fractions import NoiseFractions, noise_fractions
from specloom_pca.noise import STEPS, SignalAndNoise
from specloom_pca.pixel_maps import map_pixels, to_channels_last
from specloom_statistics import StreamingNode, warn_of_few_pixels


@node
class MNF(StreamingNode[SignalAndNoise]):
    """Projects each pixel onto the directions of the largest ratio of variance to noise.

    (x - m) V^T, with the mean m of the pixels that the fit saw, and the rows v of V with
    S v = r N v and v^T N v = 1: S is the covariance of the pixels (divided by n - 1), N that of
    their noise, and r falls from row to row. Noise has unit variance in every component, and
    r - 1 is the ratio of signal to noise. The entry of the largest magnitude in each row is
    positive.

    The noise is half of the covariance of differences to a neighbour, where both pixels are valid
    and finite, which holds where the scene changes little from pixel to pixel; or it is that of
    ``dark`` frames about the mean of each of their columns.

    Statistics and projections are float64. Bands without noise, and directions that the noise
    does not support, are not used, with a warning; where fewer directions than ``n_components``
    are left, the remaining components are zero. A pixel that is not finite in every band gives
    NaN and is not fitted.

    Source: A. A. Green, M. Berman, P. Switzer, M. D. Craig, IEEE TGRS 26(1), 1988, eq. 3.

    Args:
        n_components: K, at most the number of bands.
        noise: The neighbour whose difference is the noise (``right``, ``lower``, ``lowerright``,
            ``lowerleft``), or ``dark``.
        eps: Directions of the noise whose standard deviation, over the largest, is not above
            this are not used.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``n_components`` is not from 1 to C, ``eps`` is negative, or ``noise`` is
            unknown.
        DataError: The dark frames do not have the axes lines, columns and bands.
        NodeError: The fit saw no usable pixel, no pair of neighbours, or no dark frame.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    dark = Input(
        "... num_channels",
        optional=True,
        for_fit=True,
        doc="Frames of the dark reference, (lines, columns, bands) or a batch of them, in the unit "
        "of the data: batch.dark of a source with calibration: {dark_frames: true}.",
    )
    projected = Output("B H W n_components", doc="Components of unit noise of each pixel.")
    noise_ratios = Output(
        "n_components", unit="1", doc="Variance over noise variance of each component."
    )
    components = Output("n_components num_channels", doc="The rows of V.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"n_components": 3, "num_channels": 4}
    affine_input = "data"
    linear_input = "data"

    n_components: int
    noise: Literal["right", "lower", "lowerright", "lowerleft", "dark"] = "right"
    eps: float = 1e-6
    num_channels: int | None = None

    center = buffer()
    directions = buffer()
    ratios = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate mean and components."""
        count = self.n_components
        size = sizes["num_channels"]
        if not 1 <= count <= size:
            what = f"{self.label}: n_components is {count}, but the data have {size} channels"
            raise ConfigError(what, fix=f"set n_components to a number from 1 to {size}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise ConfigError(f"{self.label}: eps is {self.eps}", fix="set eps to 0 or more")
        if self.noise not in (*STEPS, "dark"):
            what = f"{self.label}: noise is {self.noise!r}"
            raise ConfigError(what, fix=f"set noise to one of {', '.join(STEPS)}, dark")
        self.register_buffer("center", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("directions", torch.eye(count, size, dtype=torch.float64))
        self.register_buffer("ratios", torch.zeros(count, dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        direction = None if self.noise == "dark" else self.noise
        self.start_statistics(SignalAndNoise(len(self.center), self.center.device, direction))

    def fit_update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        dark: Tensor | None = None,
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``, and their noise."""
        statistics = self.statistics()
        statistics.update(data, valid)
        if dark is not None and self.noise == "dark":
            for frames in self._frames_of_captures(dark):
                statistics.add_dark(frames)

    def _frames_of_captures(self, dark: Tensor) -> Sequence[Tensor]:
        """The dark frames (lines, columns, C) of one capture, or of each of a batch."""
        if dark.dim() == 3:
            return [dark]
        if dark.dim() == 4:
            return list(dark)
        what = f"{self.label}: dark has the shape {tuple(dark.shape)}"
        raise DataError(what, fix="connect frames of the axes lines, columns and bands")

    def fit_end(self) -> None:
        """Compute the components, and warn where the noise supports too few."""
        statistics = self.take_statistics()
        signal = statistics.signal
        self.left_out = signal.left_out
        self.finish_fit(signal.count)
        if not statistics.noise.count:
            self.fitted = False
            raise self._no_noise()
        found = noise_fractions(
            signal.covariance(), statistics.noise_covariance(), self.n_components, self.eps
        )
        self.center.copy_(signal.mean())
        self.directions.copy_(found.directions)
        self.ratios.copy_(found.ratios)
        self._warn_about_support(found, statistics.noise.count)

    def _no_noise(self) -> NodeError:
        if self.noise == "dark":
            what = f"{self.label}: noise is 'dark', and the fit saw no usable dark frame"
            fix = (
                "write calibration: {dark_frames: true} of the data and connect batch.dark, or set "
                "noise to 'right'"
            )
            return NodeError(what, fix=fix)
        what = f"{self.label}: no usable pixel has a usable neighbour ({self.noise})"
        return NodeError(what, fix="fit images of more pixels, or set noise to 'dark'")

    def _warn_about_support(self, found: NoiseFractions, pixels: int) -> None:
        bands = len(self.center)
        if found.rank < bands:
            text = (
                f"{self.label}: the noise of {pixels} pixels supports {found.rank} directions of "
                f"{bands} bands; the others are not used. Use more pixels, or drop bands that are "
                "constant or combinations of others"
            )
            warnings.warn(text, UserWarning, stacklevel=3)
            return
        warn_of_few_pixels(self.label, pixels, bands, "fit more pixels, or drop bands")

    def forward(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        dark: Tensor | None = None,
    ) -> Batch:
        """Project (B, H, W, C) ``data``."""
        projected = map_pixels(data, [(self.directions, -self.directions @ self.center)])
        return {
            "projected": to_channels_last(projected, data),
            "noise_ratios": self.ratios.float(),
            "components": self.directions.float(),
        }

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return (
            f"{self.n_components} components of {len(self.center)} bands, {self.pixel_summary()}, "
            f"variance over noise from {float(self.ratios[0]):.4g} to {float(self.ratios[-1]):.4g}"
        )
