"""Spectra of unit length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_place
from specloom_pretreatments.spectra import divide
from specloom_pretreatments.undefined import CountsUndefined


@node
class UnitNorm(CountsUndefined, TorchNode):
    """Scales each spectrum to a Euclidean norm of 1: what is left does not depend on brightness.

    x / |x|, over the bands of a pixel. A spectrum of zeros gives NaN and is counted
    (``undefined_pixels``), as a pixel that is not finite in every band gives NaN.
    """

    data = Input("B H W C", doc="Spectra.")
    treated = Output("B H W C", unit="1", doc="Spectra of Euclidean norm 1.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}

    def forward(self, data: Tensor) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        result = treat_in_place(data, normalise)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def normalise(spectra: Tensor) -> Treated:
    """Spectra (N, C) of Euclidean norm 1; NaN where they are zeros."""
    # The largest value is taken out first, so that no square is out of range.
    largest = spectra.detach().abs().amax(1, keepdim=True)
    defined = largest > 0
    scaled = divide(spectra, largest, defined)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return Treated(divide(scaled, norm, defined), largest[:, 0] == 0)
