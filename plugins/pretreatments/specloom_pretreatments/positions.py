"""Where the bands lie, in nanometres, and polynomials over it."""

from __future__ import annotations

import torch
from torch import Tensor

from specloom import ConfigError, DataError


def band_positions(label: str, wavelengths: Tensor, channels: int) -> Tensor:
    """The centres of the bands in nm, float64 (C,), on the CPU.

    Args:
        label: The node, for messages.
        wavelengths: (C,).
        channels: C, the number of bands of the data.

    Raises:
        DataError: They are not finite, two are equal, or there are not C of them.
    """
    positions = wavelengths.detach().to("cpu", torch.float64)
    if positions.shape != (channels,):
        what = f"{label}: {len(positions)} wavelengths for {channels} bands"
        raise DataError(what, fix="correct the wavelengths of the data")
    if not bool(positions.isfinite().all()):
        what = f"{label}: wavelengths are not finite"
        raise DataError(what, fix="correct the wavelengths of the data")
    ordered = positions.sort().values
    equal = ordered[1:][ordered.diff() == 0]
    if len(equal):
        what = f"{label}: two bands have the wavelength {float(equal[0]):g} nm"
        raise DataError(what, fix="correct the wavelengths of the data")
    return positions


def require_wavelengths(label: str, wavelengths: Tensor | None) -> Tensor:
    """The wavelengths that ``per: nm`` needs.

    Raises:
        ConfigError: None are connected.
    """
    if wavelengths is None:
        what = f"{label}: per is 'nm', and no wavelengths are connected"
        raise ConfigError(what, fix="connect wavelengths, or set per: band")
    return wavelengths


def polynomial_basis(positions: Tensor, degree: int) -> Tensor:
    """Orthonormal polynomials up to a degree at the positions, float64 (C, degree + 1).

    Args:
        positions: (C,), in any order.
        degree: Below C.
    """
    low = positions.min()
    high = positions.max()
    scaled = torch.zeros_like(positions)
    if high > low:
        scaled = 2 * (positions - low) / (high - low) - 1
    powers = torch.arange(degree + 1, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(scaled[:, None] ** powers).Q
    return basis


def check_degree(label: str, degree: int, channels: int, others: int = 0) -> None:
    """Raise ConfigError unless there are more bands than coefficients.

    Args:
        label: The node, for messages.
        degree: That of the polynomial.
        channels: The number of bands.
        others: How many coefficients there are besides those of the polynomial.
    """
    if degree < 0:
        raise ConfigError(f"{label}: degree is {degree}", fix="set degree to 0 or more")
    if degree + 1 + others >= channels:
        what = f"{label}: degree is {degree}, but the data have {channels} bands"
        largest = channels - others - 2
        fix = f"set degree to a number from 0 to {largest}"
        if largest < 0:
            fix = "use data of more bands"
        raise ConfigError(what, fix=fix)
