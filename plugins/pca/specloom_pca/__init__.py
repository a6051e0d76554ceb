"""Principal component analysis of cubes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe pca --write`.
__all__ = ["TrainablePCA"]

if TYPE_CHECKING:
    from specloom_pca.pca import TrainablePCA
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the analysis."""
    return {"TrainablePCA": "specloom_pca.pca:TrainablePCA"}
