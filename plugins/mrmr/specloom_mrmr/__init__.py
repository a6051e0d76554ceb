"""Supervised selection of bands that separate two classes without redundancy (mRMR)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe mrmr --write`.
__all__ = [
    "SupervisedCIRBandSelector",
    "SupervisedFullSpectrumBandSelector",
    "SupervisedWindowedFalseRGBSelector",
]

if TYPE_CHECKING:
    from specloom_mrmr.cir import SupervisedCIRBandSelector
    from specloom_mrmr.false_rgb import SupervisedWindowedFalseRGBSelector
    from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the selectors."""
    return {
        "SupervisedCIRBandSelector": "specloom_mrmr.cir:SupervisedCIRBandSelector",
        "SupervisedFullSpectrumBandSelector": (
            "specloom_mrmr.full_spectrum:SupervisedFullSpectrumBandSelector"
        ),
        "SupervisedWindowedFalseRGBSelector": (
            "specloom_mrmr.false_rgb:SupervisedWindowedFalseRGBSelector"
        ),
    }


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom bands``."""
    return {"bands": "specloom_mrmr.command:bands"}
