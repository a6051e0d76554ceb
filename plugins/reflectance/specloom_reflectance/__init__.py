"""Raw counts to reflectance, saturated and dead pixels, and other grids of bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe reflectance --write`.
__all__ = [
    "BinBands",
    "DeadPixels",
    "Highlights",
    "NoisyBands",
    "Reflectance",
    "Resample",
    "Saturation",
]

if TYPE_CHECKING:
    from specloom_reflectance.bin_bands import BinBands
    from specloom_reflectance.calibration import Reflectance
    from specloom_reflectance.dead_pixels import DeadPixels
    from specloom_reflectance.highlights import Highlights
    from specloom_reflectance.noisy_bands import NoisyBands
    from specloom_reflectance.resample import Resample
    from specloom_reflectance.saturation import Saturation
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the calibration, the masks of pixels, and the maps of bands."""
    return {
        "BinBands": "specloom_reflectance.bin_bands:BinBands",
        "DeadPixels": "specloom_reflectance.dead_pixels:DeadPixels",
        "Highlights": "specloom_reflectance.highlights:Highlights",
        "NoisyBands": "specloom_reflectance.noisy_bands:NoisyBands",
        "Reflectance": "specloom_reflectance.calibration:Reflectance",
        "Resample": "specloom_reflectance.resample:Resample",
        "Saturation": "specloom_reflectance.saturation:Saturation",
    }
