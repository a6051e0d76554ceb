"""Principal components and minimum noise fractions of cubes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Components": "specloom_pca.components",
    "NoiseFractions": "specloom_pca.fractions",
    "map_pixels": "specloom_pca.pixel_maps",
    "noise_fractions": "specloom_pca.fractions",
    "principal_components": "specloom_pca.components",
    "standardising_factors": "specloom_pca.components",
    "to_channels_last": "specloom_pca.pixel_maps",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe pca --write`.
__all__ = [
    "MNF",
    "Components",
    "NoiseFractions",
    "TrainablePCA",
    "map_pixels",
    "noise_fractions",
    "principal_components",
    "standardising_factors",
    "to_channels_last",
]

if TYPE_CHECKING:
    from specloom_pca.components import Components, principal_components, standardising_factors
    from specloom_pca.fractions import NoiseFractions, noise_fractions
    from specloom_pca.mnf import MNF
    from specloom_pca.pca import TrainablePCA
    from specloom_pca.pixel_maps import map_pixels, to_channels_last
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the analyses."""
    return {
        "MNF": "specloom_pca.mnf:MNF",
        "TrainablePCA": "specloom_pca.pca:TrainablePCA",
    }
