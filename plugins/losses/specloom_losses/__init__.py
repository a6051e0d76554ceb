"""Losses for anomaly detectors and band selectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy


# Public names, imported on first use: written by `specloom plugins describe losses --write`.
# End of public names.


@impl
def register_losses() -> Mapping[str, str]:
    """Offer losses of detections, and regularisers of a selector's weights."""
    return {
        "AnomalyBCEWithLogits": "specloom_losses.cross_entropy:AnomalyBCEWithLogits",
        "DistinctnessLoss": "specloom_losses.distinctness:DistinctnessLoss",
        "IoULoss": "specloom_losses.iou:IoULoss",
        "SelectorDiversityRegularizer": "specloom_losses.diversity:SelectorDiversityRegularizer",
        "SelectorEntropyRegularizer": "specloom_losses.entropy:SelectorEntropyRegularizer",
    }
