"""Absorbance from reflectance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_own_type
from specloom_pretreatments.undefined import CountsUndefined


@node
class Absorbance(CountsUndefined, TorchNode):
    """log10(1 / R), the apparent absorbance of reflectance R, band by band.

    Where R is not above 0, or not finite, the band is NaN; finite pixels with such a band are
    counted (``undefined_pixels``).
    """

    data = Input("B H W C", doc="Reflectance, where 1 is all of the light.")
    treated = Output("B H W C", unit="1", doc="Absorbance.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}

    def forward(self, data: Tensor) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        result = treat_in_own_type(data, absorbance)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def absorbance(spectra: Tensor, out: Tensor | None = None) -> Treated:
    """log10(1 / R) of spectra (N, C); NaN where R is not above 0."""
    is_defined = (spectra > 0) & (spectra < torch.inf)
    logarithm = torch.where(is_defined, spectra, 1).log10()
    is_finite = (spectra.detach() * 0).sum(1) == 0
    undefined = is_finite & ~is_defined.all(1)
    result = torch.where(is_defined, -logarithm, torch.nan)
    if out is not None:
        out.copy_(result)
    return Treated(result, undefined)
