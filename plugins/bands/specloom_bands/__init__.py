"""Selection of three bands of a cube, for pictures and for models of RGB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import Port, impl
from specloom.lazy import lazy
from specloom_bands.info import BAND_INFO

MODULES = {
    "BandSelectorBase": "specloom_bands.base",
    "band_centres": "specloom_bands.nearest",
    "band_record": "specloom_bands.info",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe bands --write`.
__all__ = [
    "BAND_INFO",
    "BandSelectorBase",
    "BaselineFalseRGBSelector",
    "CIRFalseColorSelector",
    "HighContrastBandSelector",
    "band_centres",
    "band_record",
]

if TYPE_CHECKING:
    from specloom_bands.base import BandSelectorBase
    from specloom_bands.baseline import BaselineFalseRGBSelector
    from specloom_bands.cir import CIRFalseColorSelector
    from specloom_bands.high_contrast import HighContrastBandSelector
    from specloom_bands.info import band_record
    from specloom_bands.nearest import band_centres
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the selectors."""
    return {
        "BaselineFalseRGBSelector": "specloom_bands.baseline:BaselineFalseRGBSelector",
        "CIRFalseColorSelector": "specloom_bands.cir:CIRFalseColorSelector",
        "HighContrastBandSelector": "specloom_bands.high_contrast:HighContrastBandSelector",
    }


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that records which bands were chosen."""
    return {"band_info": BAND_INFO}
