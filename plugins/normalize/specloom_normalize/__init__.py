"""Normalisation of cubes to a common range."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the normaliser."""
    return {"MinMaxNormalizer": "specloom_normalize.min_max:MinMaxNormalizer"}
