"""Principal component analysis of cubes."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the analysis."""
    return {"TrainablePCA": "specloom_pca.pca:TrainablePCA"}
