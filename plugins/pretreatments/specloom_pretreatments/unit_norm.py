"""Spectra of unit length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Treated, treat_in_own_type
from specloom_pretreatments.spectra import divide, is_normal, norm_of
from specloom_pretreatments.undefined import CountsUndefined

if TYPE_CHECKING:
    from torch import Tensor


@node
class UnitNorm(CountsUndefined, TorchNode):
    """Scales each spectrum to a Euclidean norm of 1: what is left does not depend on brightness.

    x / |x|, over the bands of a pixel. A spectrum of zeros gives NaN and is counted
    (``undefined_pixels``), and so does one whose squares are out of range of its type. A pixel that
    is not finite in every band gives NaN.
    """

    data = Input("B H W C", doc="Spectra.")
    treated = Output("B H W C", unit="1", doc="Spectra of Euclidean norm 1.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}

    def forward(self, data: Tensor) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        result = treat_in_own_type(data, normalise)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}


def normalise(spectra: Tensor, out: Tensor | None = None) -> Treated:
    """Spectra (N, C) of Euclidean norm 1; NaN where they are zeros."""
    norm = norm_of(spectra)
    defined = is_normal(norm)
    is_finite = (spectra.detach().sum(1) * 0) == 0
    return Treated(divide(spectra, norm, defined, out), ~defined[:, 0] & is_finite)
