"""Continuum removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.hull import PooledContinuum, continuum_by_slopes
from specloom_pretreatments.pixels import Treated, treat_in_double
from specloom_pretreatments.positions import band_positions
from specloom_pretreatments.spectra import divide
from specloom_pretreatments.undefined import CountsUndefined

# Pixels of a block: many enough for the calls, few enough for the cache.
CPU_ROWS = 256
GPU_ROWS = 65536


@node
class ContinuumRemoval(CountsUndefined, TorchNode):
    """Divides each spectrum by its continuum, so that absorption bands are dips below 1.

    The continuum is the upper convex hull of the spectrum over wavelength. Bands where the
    continuum is 0 give NaN; finite pixels with such bands are counted (``undefined_pixels``). A
    pixel that is not finite in every band gives NaN. Computed in float64.

    Source: R. N. Clark, T. L. Roush, Journal of Geophysical Research 89(B7), 1984.

    Raises:
        DataError: The wavelengths are not finite or not distinct.
    """

    data = Input("B H W C", doc="Reflectance or radiance.")
    wavelengths = Input("C", "real", unit="nm", host=True, doc="Band centres, in any order.")
    treated = Output("B H W C", unit="1", doc="Spectra over their continuum, at most 1.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    affine_input = "data"
    linear_input = "data"

    def forward(self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        positions = band_positions(self.label, wavelengths, data.shape[-1])
        raw = data if isinstance(data, Tensor) else data.data
        on_cpu = raw.device.type == "cpu"
        rows = CPU_ROWS if on_cpu else GPU_ROWS
        order = positions.argsort()
        is_sorted = bool((order.diff() > 0).all())
        rising = positions[order]
        pooled = PooledContinuum(rising.numpy(), rows)
        rising = rising.to(raw.device)
        order = order.to(raw.device)

        def remove(spectra: Tensor) -> Treated:
            values = spectra if is_sorted else spectra[:, order]
            if on_cpu and not spectra.requires_grad:
                treated = _remove_pooled(values, pooled)
            else:
                treated = _remove_by_slopes(values, rising)
            if is_sorted:
                return treated
            return treated._replace(spectra=treated.spectra[:, order.argsort()])

        result = treat_in_double(data, remove, rows=rows)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def _remove_by_slopes(values: Tensor, positions: Tensor) -> Treated:
    continuum = continuum_by_slopes(values, positions)
    is_zero = continuum == 0
    return Treated(divide(values, continuum, ~is_zero), is_zero.any(1))


def _remove_pooled(values: Tensor, pooled: PooledContinuum) -> Treated:
    array = values.numpy()
    finite = np.isfinite(array.sum(1))
    if not finite.all():
        # What is not finite becomes NaN afterwards.
        array = np.where(finite[:, None], array, 0)
    continuum = pooled(array)
    is_zero = continuum == 0
    undefined = None
    if is_zero.any():
        continuum[is_zero] = np.nan
        undefined = torch.from_numpy(is_zero.any(1))
    return Treated(torch.from_numpy(np.divide(array, continuum, out=continuum)), undefined)
