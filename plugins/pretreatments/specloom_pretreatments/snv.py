"""Standard normal variate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_own_type
from specloom_pretreatments.spectra import centre, divide, is_normal, norm_of
from specloom_pretreatments.undefined import CountsUndefined

if TYPE_CHECKING:
    from torch import Tensor


@node
class SNV(CountsUndefined, TorchNode):
    """Standard normal variate: each spectrum without its mean, over its standard deviation.

    (x - mean(x)) / std(x), over the bands of a pixel, the standard deviation divided by n - 1. A
    constant spectrum gives NaN and is counted (``undefined_pixels``), and so does one whose squares
    are out of range of its type. A pixel that is not finite in every band gives NaN.

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
        result = treat_in_own_type(data, standardise)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def standardise(spectra: Tensor, out: Tensor | None = None) -> Treated:
    """Spectra (N, C) of mean 0 and standard deviation 1; NaN where they are constant."""
    centred = centre(spectra, out)
    norm = norm_of(centred)
    defined = is_normal(norm)
    deviation = norm / math.sqrt(spectra.shape[1] - 1)
    # A norm that is NaN is that of a pixel that is not finite.
    undefined = ~defined[:, 0] & ~norm[:, 0].isnan()
    return Treated(divide(centred, deviation, defined, out), undefined)
