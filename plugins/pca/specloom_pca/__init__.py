"""Principal component analysis of cubes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Components": "specloom_pca.components",
    "map_pixels": "specloom_pca.pixel_maps",
    "principal_components": "specloom_pca.components",
    "standardising_factors": "specloom_pca.components",
    "to_channels_last": "specloom_pca.pixel_maps",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe pca --write`.
__all__ = [
    "Components",
    "TrainablePCA",
    "map_pixels",
    "principal_components",
    "standardising_factors",
    "to_channels_last",
]

if TYPE_CHECKING:
    from specloom_pca.components import Components, principal_components, standardising_factors
    from specloom_pca.pca import TrainablePCA
    from specloom_pca.pixel_maps import map_pixels, to_channels_last
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the analysis."""
    return {"TrainablePCA": "specloom_pca.pca:TrainablePCA"}
