"""A picture in which plants are red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specloom import node
from specloom_bands.fixed import FixedBandSelector

MAPPING = {"R": "NIR", "G": "Red", "B": "Green"}


@node
class CIRFalseColorSelector(FixedBandSelector):
    """Takes a near-infrared band as red, a red one as green and a green one as blue.

    A band more than 20 nm away is a warning: a camera that ends at 700 nm has no near
    infrared. ``band_info`` also has ``channel_mapping``.

    Args:
        nir_nm: What becomes red, in nm.
        red_nm: What becomes green, in nm.
        green_nm: What becomes blue, in nm.
        tolerance_nm: A band farther away than this is an error; None takes any.

    Raises:
        ConfigError: A wavelength or the tolerance is not a positive number of nm.
        DataError: The data have no band within the tolerance, or no wavelengths in nm.
    """

    strategy = "cir_false_color"

    nir_nm: float = 860.0
    red_nm: float = 670.0
    green_nm: float = 560.0
    tolerance_nm: float | None = None

    def _targets(self) -> tuple[float, ...]:
        return (float(self.nir_nm), float(self.red_nm), float(self.green_nm))

    def _choose(self, centres: Sequence[float]) -> dict[str, Any]:
        return {**super()._choose(centres), "channel_mapping": dict(MAPPING)}
