"""Baselines by asymmetric least squares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_double

# Pixels of a block: many enough for the calls of each band, few enough for the cache.
CPU_ROWS = 4096
GPU_ROWS = 65536


@node
class ALSBaseline(TorchNode):
    """Subtracts from each spectrum a smooth baseline below its peaks, by asymmetric least squares.

    The baseline z minimises sum of w (x - z)^2 + smoothness * sum of (second differences of z)^2,
    over the number of the band; w is ``asymmetry`` where x lies above the baseline of the
    iteration before, else 1 - ``asymmetry``, and 1 in the first iteration. The pentadiagonal
    system is solved in float64 for all pixels of a block together, band by band. A pixel that is
    not finite in every band gives NaN.

    Source: P. H. C. Eilers, H. F. M. Boelens, Baseline Correction with Asymmetric Least Squares
    Smoothing, Leiden University Medical Centre, 2005.

    Args:
        smoothness: lambda; larger is smoother, 1e2 to 1e9.
        asymmetry: p; 0.001 to 0.1 for peaks that point upwards.
        iterations: How often the baseline is computed.

    Raises:
        ConfigError: A number is out of its range, or the data have fewer than three bands.
    """

    data = Input("B H W C", doc="Spectra.")
    treated = Output("B H W C", doc="Spectra without their baseline.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    affine_input = "data"
    linear_input = "data"

    smoothness: float = 1e5
    asymmetry: float = 0.01
    iterations: int = 10

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        if not (math.isfinite(self.smoothness) and self.smoothness > 0):
            what = f"{self.label}: smoothness is {self.smoothness}"
            raise ConfigError(what, fix="set smoothness above 0")
        if not 0 < self.asymmetry < 1:
            what = f"{self.label}: asymmetry is {self.asymmetry}"
            raise ConfigError(what, fix="set asymmetry to a number between 0 and 1")
        if self.iterations < 1:
            what = f"{self.label}: iterations is {self.iterations}"
            raise ConfigError(what, fix="set iterations to 1 or more")
        if sizes["C"] < 3:
            what = f"{self.label}: {sizes['C']} bands have no second difference"
            raise ConfigError(what, fix="use data of three bands or more")

    def forward(self, data: Tensor | LazyAffine | LazyLinear) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        raw = data if isinstance(data, Tensor) else data.data
        rows = CPU_ROWS if raw.device.type == "cpu" else GPU_ROWS

        def subtract(spectra: Tensor) -> Treated:
            values = spectra.T.contiguous()
            return Treated((values - self._baseline(values)).T)

        return {"treated": treat_in_double(data, subtract, rows=rows).cubes}

    def _baseline(self, values: Tensor) -> Tensor:
        """The baselines of spectra (C, N), as columns."""
        weights = torch.ones_like(values)
        baseline = values
        for _ in range(self.iterations):
            baseline = smooth(values, weights, self.smoothness)
            above = values.detach() > baseline.detach()
            weights = torch.where(above, self.asymmetry, 1 - self.asymmetry)
            weights = weights.to(values.dtype)
        return baseline


def smooth(values: Tensor, weights: Tensor, smoothness: float) -> Tensor:
    """z of (diag(w) + smoothness D^T D) z = w x, with D the second differences; differentiable.

    The matrix is L diag(d) L^T, L with two diagonals below that of ones.

    Args:
        values: x, (C, N), float64, C at least 3.
        weights: w, (C, N).
        smoothness: Above 0.
    """
    bands = len(values)
    penalty = _penalty(bands, smoothness)
    zero = torch.zeros_like(values[0])
    pivots = [zero, zero]
    first_below = [zero, zero]
    second_below = [zero, zero]
    solved = [zero, zero]
    for band in range(bands):
        near = first_below[-1]
        far = second_below[-2]
        pivot = weights[band] + penalty[band][band]
        pivot = pivot - pivots[-1] * near.square() - pivots[-2] * far.square()
        right = weights[band] * values[band] - near * solved[-1] - far * solved[-2]
        coupling = zero
        if band + 1 < bands:
            product = pivots[-1] * near * second_below[-1]
            coupling = (penalty[band][band + 1] - product) / pivot
        far_coupling = zero
        if band + 2 < bands:
            far_coupling = penalty[band][band + 2] / pivot
        pivots.append(pivot)
        first_below.append(coupling)
        second_below.append(far_coupling)
        solved.append(right)
    following = [zero, zero]
    for band in range(bands + 1, 1, -1):
        value = solved[band] / pivots[band]
        value = value - first_below[band] * following[-1] - second_below[band] * following[-2]
        following.append(value)
    following.reverse()
    return torch.stack(following[:bands])


def _penalty(bands: int, smoothness: float) -> list[list[float]]:
    """smoothness D^T D, (bands, bands)."""
    second = np.diff(np.eye(bands), n=2, axis=0)
    penalty: list[list[float]] = (smoothness * (second.T @ second)).tolist()
    return penalty
