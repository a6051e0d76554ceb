"""Continuum removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.hull import continuum_by_scan, continuum_by_slopes
from specloom_pretreatments.pixels import Treated, treat_in_double
from specloom_pretreatments.positions import band_positions
from specloom_pretreatments.spectra import divide
from specloom_pretreatments.undefined import CountsUndefined

# Pixels of a block on the CPU: many enough for the calls, few enough for the cache.
CPU_ROWS = 4096
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
        order = positions.argsort()
        is_sorted = bool((order.diff() > 0).all())
        rising = positions[order]
        raw = data if isinstance(data, Tensor) else data.data
        on_device = rising.to(raw.device)
        order_on_device = order.to(raw.device)

        def remove(spectra: Tensor) -> Treated:
            values = spectra
            if not is_sorted:
                values = spectra[:, order_on_device]
            if spectra.requires_grad or spectra.device.type != "cpu":
                continuum = continuum_by_slopes(values, on_device)
            else:
                continuum = _scanned(values, rising)
            if not is_sorted:
                continuum = continuum[:, order_on_device.argsort()]
            is_zero = continuum == 0
            return Treated(divide(spectra, continuum, ~is_zero), is_zero.any(1))

        rows = CPU_ROWS if raw.device.type == "cpu" else GPU_ROWS
        result = treat_in_double(data, remove, rows=rows)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def _scanned(values: Tensor, positions: Tensor) -> Tensor:
    columns = values.T.contiguous().numpy()
    return torch.from_numpy(continuum_by_scan(columns, positions.numpy())).T
