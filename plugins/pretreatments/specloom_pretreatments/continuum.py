"""Continuum removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.hull import HullScan, continuum_by_slopes
from specloom_pretreatments.pixels import Treated, treat_in_double
from specloom_pretreatments.positions import band_positions
from specloom_pretreatments.spectra import divide
from specloom_pretreatments.undefined import CountsUndefined

# Values of a block: many enough for the calls, few enough for the cache.
CPU_VALUES = 96 << 10
CPU_ROWS = 1024
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
        order = positions.argsort()
        is_sorted = bool((order.diff() > 0).all())
        rising = positions[order]
        rows = GPU_ROWS
        scan = None
        if raw.device.type == "cpu":
            pixels = raw.shape[1] * raw.shape[2]
            rows = max(min(CPU_VALUES // len(positions), CPU_ROWS, pixels), 1)
            scan = HullScan(rising.numpy(), rows)
        rising = rising.to(raw.device)
        order = order.to(raw.device)

        def remove(spectra: Tensor) -> Treated:
            values = spectra if is_sorted else spectra[:, order]
            if scan is not None and not spectra.requires_grad:
                treated = _remove_scanned(values, scan)
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


def _remove_scanned(values: Tensor, scan: HullScan) -> Treated:
    array = values.numpy()
    continuum = scan(array)
    undefined = None
    # A concave function is smallest at an end.
    if not (array[:, [0, -1]] > 0).all():
        is_zero = continuum == 0
        continuum[is_zero] = np.nan
        undefined = torch.from_numpy(is_zero.any(1))
    with np.errstate(all="ignore"):
        # Pixels that are not finite become NaN afterwards.
        treated = np.divide(array, continuum, out=continuum)
    return Treated(torch.from_numpy(treated), undefined)
