"""Losses for anomaly detectors and band selectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "PooledLoss": "specloom_losses.pooled",
}
"""Where each other public name is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe losses --write`.
__all__ = [
    "AnomalyBCEWithLogits",
    "DistinctnessLoss",
    "IoULoss",
    "PooledLoss",
    "SelectorDiversityRegularizer",
    "SelectorEntropyRegularizer",
]

if TYPE_CHECKING:
    from specloom_losses.cross_entropy import AnomalyBCEWithLogits
    from specloom_losses.distinctness import DistinctnessLoss
    from specloom_losses.diversity import SelectorDiversityRegularizer
    from specloom_losses.entropy import SelectorEntropyRegularizer
    from specloom_losses.iou import IoULoss
    from specloom_losses.pooled import PooledLoss
else:
    __getattr__ = lazy(__name__, **MODULES)
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
