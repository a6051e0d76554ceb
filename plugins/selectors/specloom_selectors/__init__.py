"""Selection of channels and bands, trained by gradients."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the selectors, and the indices of their largest weights."""
    return {
        "ConcreteBandSelector": "specloom_selectors.concrete:ConcreteBandSelector",
        "SoftChannelSelector": "specloom_selectors.soft:SoftChannelSelector",
        "TopKIndices": "specloom_selectors.top_k:TopKIndices",
    }
