"""Principal component analysis of cubes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from specloom import impl

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
    # Loaded when they are used: the command line imports every plugin, and torch takes seconds.
    _MODULES = {
        "Components": "specloom_pca.components",
        "TrainablePCA": "specloom_pca.pca",
        "map_pixels": "specloom_pca.pixel_maps",
        "principal_components": "specloom_pca.components",
        "standardising_factors": "specloom_pca.components",
        "to_channels_last": "specloom_pca.pixel_maps",
    }

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the analysis."""
    return {"TrainablePCA": "specloom_pca.pca:TrainablePCA"}
