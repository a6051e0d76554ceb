"""Standard normal variate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_place
from specloom_pretreatments.spectra import centre, divide
from specloom_pretreatments.undefined import CountsUndefined


@node
class SNV(CountsUndefined, TorchNode):
    """Standard normal variate: each spectrum without its mean, over its standard deviation.

    (x - mean(x)) / std(x), over the bands of a pixel, the standard deviation divided by n - 1. A
    constant spectrum gives NaN and is counted (``undefined_pixels``), as a pixel that is not finite
    in every band gives NaN.

    Source: R. J. Barnes, M. S. Dhanoa, S. J. Lister, Applied Spectroscopy 43(5), 1989.

    Raises:
        ConfigError: The data have one band.
    """

    data = Input("B H W C", doc="Spectra.")
    treated = Output("B H W C", unit="1", doc="Spectra of mean 0 and standard deviation 1.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the number of bands."""
        if sizes["C"] < 2:
            what = f"{self.label}: one band has no standard deviation"
            raise ConfigError(what, fix="use data of two bands or more")

    def forward(self, data: Tensor) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        result = treat_in_place(data, standardise)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def standardise(spectra: Tensor) -> Treated:
    """Spectra (N, C) of mean 0 and standard deviation 1; NaN where they are constant."""
    centred = centre(spectra)
    # The largest deviation is taken out first, so that no square is out of range.
    largest = centred.detach().abs().amax(1, keepdim=True)
    varies = largest > 0
    scaled = divide(centred, largest, varies)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    deviation = norm / math.sqrt(spectra.shape[1] - 1)
    return Treated(divide(scaled, deviation, varies), largest[:, 0] == 0)
