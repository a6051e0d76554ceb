"""Supervised selection of bands that separate two classes without redundancy (mRMR)."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


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
