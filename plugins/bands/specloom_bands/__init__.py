"""Selection of three bands of a cube, for pictures and for models of RGB."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from specloom import Port, impl
from specloom_bands.info import BAND_INFO

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
    # Loaded when they are used: the command line imports every plugin, and torch takes seconds.
    _MODULES = {
        "BandSelectorBase": "specloom_bands.base",
        "BaselineFalseRGBSelector": "specloom_bands.baseline",
        "CIRFalseColorSelector": "specloom_bands.cir",
        "HighContrastBandSelector": "specloom_bands.high_contrast",
        "band_centres": "specloom_bands.nearest",
        "band_record": "specloom_bands.info",
    }

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


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
