"""Normalisation of cubes to a common range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe normalize --write`.
__all__ = ["MinMaxNormalizer"]

if TYPE_CHECKING:
    from specloom_normalize.min_max import MinMaxNormalizer
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the normaliser."""
    return {"MinMaxNormalizer": "specloom_normalize.min_max:MinMaxNormalizer"}
