"""Anomaly scores by the distance to the nearest background spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe neighbours --write`.
__all__ = ["CoresetNeighbours"]

if TYPE_CHECKING:
    from specloom_neighbours.detector import CoresetNeighbours
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detector."""
    return {"CoresetNeighbours": "specloom_neighbours.detector:CoresetNeighbours"}
