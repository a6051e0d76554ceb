"""Spectra without a smooth trend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, LazyLinear, Output, node
from specloom_pretreatments.band_map import BandMap
from specloom_pretreatments.pixels import Treated, treat_in_double
from specloom_pretreatments.positions import (
    band_positions,
    check_degree,
    polynomial_basis,
    require_wavelengths,
)


@node
class Detrend(BandMap):
    """Subtracts from each spectrum the polynomial that fits it best.

    The polynomial of order ``degree`` is fitted by least squares over all bands of a pixel, over
    the number of the band or over its wavelength. It is a dense linear map of the bands, which the
    kernel folds into PCA, MNF, RX and mixers behind it. Computed in float64. A pixel that is not
    finite in every band gives NaN.

    Source: R. J. Barnes, M. S. Dhanoa, S. J. Lister, Applied Spectroscopy 43(5), 1989 (there of
    order 2, behind SNV).

    Args:
        degree: The order of the polynomial.
        per: Whether the polynomial is over the ``band`` or over the wavelength in ``nm``, which
            needs ``wavelengths``.

    Raises:
        ConfigError: ``degree`` is not from 0 to the number of bands - 2, or ``per`` is ``nm``
            without wavelengths.
        DataError: The wavelengths are not finite or not distinct.
    """

    data = Input("B H W C", doc="Spectra.")
    wavelengths = Input(
        "C", "real", unit="nm", optional=True, host=True, doc="Band centres, for per: nm."
    )
    treated = Output("B H W C", doc="Spectra without their trend.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    affine_input = "data"
    linear_input = "data"
    linear_output = "treated"

    degree: int = 1
    per: Literal["band", "nm"] = "band"

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        check_degree(self.label, self.degree, sizes["C"])
        if self.per not in ("band", "nm"):
            what = f"{self.label}: per is {self.per!r}"
            raise ConfigError(what, fix="set per to 'band' or 'nm'")

    def forward(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        raw = data if isinstance(data, Tensor) else data.data
        positions = self._positions(wavelengths, data.shape[-1])
        basis = polynomial_basis(positions, self.degree).to(raw.device)

        def subtract(spectra: Tensor) -> Treated:
            return Treated(spectra - (spectra @ basis) @ basis.T)

        return {"treated": treat_in_double(data, subtract).cubes}

    def forward_lazy(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """As ``forward``, with a ``LazyLinear``."""
        raw = data if isinstance(data, Tensor) else data.data
        positions = self._positions(wavelengths, data.shape[-1])

        def make() -> Tensor:
            basis = polynomial_basis(positions, self.degree)
            identity = torch.eye(len(basis), dtype=torch.float64)
            return (identity - basis @ basis.T).to(raw.device)

        key = (self.degree, tuple(positions.tolist()), raw.device)
        return self.map_lazily(data, self.band_map(key, make))

    def _positions(self, wavelengths: Tensor | None, channels: int) -> Tensor:
        if self.per == "band":
            return torch.arange(channels, dtype=torch.float64)
        known = require_wavelengths(self.label, wavelengths)
        return band_positions(self.label, known, channels)
