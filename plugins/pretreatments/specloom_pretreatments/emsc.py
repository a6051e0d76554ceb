"""Extended multiplicative scatter correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, Internal, LazyAffine, LazyLinear, NodeError, Output, node
from specloom.torch import buffer
from specloom_pretreatments.pixels import Treated, treat_in_double
from specloom_pretreatments.positions import band_positions, check_degree, polynomial_basis
from specloom_pretreatments.spectra import divide, norm_of
from specloom_pretreatments.undefined import CountsUndefined
from specloom_statistics import RunningVariance, StreamingNode

ROUNDING = 1e-13
"""What is left of a spectrum behind the polynomial counts above this share of its norm."""


@node
class EMSC(CountsUndefined, StreamingNode[RunningVariance]):
    """Extended multiplicative scatter correction: as ``MSC``, also without a smooth baseline.

    (x - sum of c_k t^k) / b, with b and c_k of the least-squares fit of x = b m + sum of c_k t^k
    over the bands of a pixel, k from 0 to ``degree``, t the wavelength scaled to -1..1, and m the
    mean spectrum of the pixels that the fit saw. With degree 0 it is ``MSC``. A spectrum whose b is
    not above 0 gives NaN and is counted (``undefined_pixels``), as a pixel that is not finite in
    every band gives NaN. Computed in float64.

    Source: H. Martens, E. Stark, J. Pharmaceutical and Biomedical Analysis 9(8), 1991.

    Args:
        degree: The order of the polynomial.

    Raises:
        ConfigError: ``degree`` is not from 0 to the number of bands - 3.
        DataError: The wavelengths are not finite or not distinct.
        NodeError: The fit saw no usable pixel, or the mean spectrum is a polynomial.
    """

    data = Input("B H W C", doc="Spectra.")
    wavelengths = Input("C", "real", unit="nm", host=True, doc="Band centres, in any order.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    treated = Output("B H W C", doc="Corrected spectra.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    affine_input = "data"
    fits_pixels = True
    linear_input = "data"

    degree: int = 2

    reference = buffer()
    _positions = Internal[Tensor | None](None)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the degree and allocate the mean spectrum."""
        check_degree(self.label, self.degree, sizes["C"], others=1)
        self.register_buffer("reference", torch.zeros(sizes["C"], dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self._positions = None
        self.start_statistics(RunningVariance(len(self.reference), self.reference.device))

    def fit_update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        wavelengths: Tensor,
        valid: Tensor | None = None,
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)
        self._positions = band_positions(self.label, wavelengths, len(self.reference))

    def fit_end(self) -> None:
        """Set the mean spectrum."""
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        self.reference.copy_(statistics.mean())
        if self._positions is not None:
            self._require_shape(polynomial_basis(self._positions, self.degree))

    def _require_shape(self, basis: Tensor) -> None:
        """Raise NodeError where the mean spectrum is a polynomial, which leaves no slope."""
        basis = basis.to(self.reference)
        rest = self.reference - basis @ (basis.T @ self.reference)
        if float(rest.norm()) <= ROUNDING * float(self.reference.norm()):
            self.fitted = False
            what = (
                f"{self.label}: the mean spectrum of {self.pixels} pixels is a polynomial of "
                f"degree {self.degree}"
            )
            raise NodeError(what, fix="fit other spectra, or lower degree")

    def forward(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        wavelengths: Tensor,
        valid: Tensor | None = None,
    ) -> Batch:
        """Treat (B, H, W, C) ``data``."""
        reference = self.reference
        positions = band_positions(self.label, wavelengths, len(reference))
        basis = polynomial_basis(positions, self.degree).to(reference)
        smooth = basis @ (basis.T @ reference)
        rest = reference - smooth
        projection = rest / rest.square().sum()

        def correct(spectra: Tensor) -> Treated:
            # The polynomial fits x - b m; what is left of x over what is left of m is b.
            left = spectra - (spectra @ basis) @ basis.T
            factor = (left * projection).sum(1, keepdim=True)
            # A polynomial leaves rounding, whose sign says nothing.
            least = ROUNDING * norm_of(spectra.detach()) / rest.norm()
            undefined = factor[:, 0] <= least[:, 0]
            return Treated(divide(left, factor, factor > least) + smooth, undefined)

        result = treat_in_double(data, correct)
        self.count_undefined(result.undefined)
        return {"treated": result.cubes}

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"mean spectrum of {self.pixel_summary()}, polynomials of degree {self.degree}"
