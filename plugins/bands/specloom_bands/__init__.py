"""Selection of three bands of a cube, for pictures and for models of RGB."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import Port, impl
from specloom_bands.info import BAND_INFO


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
