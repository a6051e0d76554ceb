"""Selection of channels and bands, learned by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy


# Public names, imported on first use: written by `specloom plugins describe selectors --write`.
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the selectors, and the indices of their largest weights."""
    return {
        "ConcreteBandSelector": "specloom_selectors.concrete:ConcreteBandSelector",
        "SoftChannelSelector": "specloom_selectors.soft:SoftChannelSelector",
        "TopKIndices": "specloom_selectors.top_k:TopKIndices",
    }
