"""A picture much as the eye would see it."""

from __future__ import annotations

from specloom import node
from specloom_bands.fixed import FixedBandSelector


@node
class BaselineFalseRGBSelector(FixedBandSelector):
    """Takes the bands nearest to a red, a green and a blue wavelength.

    A band more than 20 nm away is a warning.

    Args:
        target_wavelengths: What becomes red, green and blue, in nm.
        tolerance_nm: A band farther away than this is an error; None takes any.

    Raises:
        ConfigError: The wavelengths or the tolerance are not positive numbers of nm.
        DataError: The data have no band within the tolerance, or no wavelengths in nm.
    """

    strategy = "baseline_false_rgb"

    target_wavelengths: tuple[float, float, float] = (650.0, 550.0, 450.0)
    tolerance_nm: float | None = None

    def _targets(self) -> tuple[float, ...]:
        return tuple(float(target) for target in self.target_wavelengths)
