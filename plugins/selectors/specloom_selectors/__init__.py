"""Selection of channels and bands, trained by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe selectors --write`.
__all__ = ["ConcreteBandSelector", "SoftChannelSelector", "TopKChannels", "TopKIndices"]

if TYPE_CHECKING:
    from specloom_selectors.concrete import ConcreteBandSelector
    from specloom_selectors.soft import SoftChannelSelector
    from specloom_selectors.top_k import TopKIndices
    from specloom_selectors.top_k_channels import TopKChannels
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the selectors, and the indices of their largest weights."""
    return {
        "ConcreteBandSelector": "specloom_selectors.concrete:ConcreteBandSelector",
        "SoftChannelSelector": "specloom_selectors.soft:SoftChannelSelector",
        "TopKChannels": "specloom_selectors.top_k_channels:TopKChannels",
        "TopKIndices": "specloom_selectors.top_k:TopKIndices",
    }
