"""Learnable mixing of bands into a few channels."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the mixer."""
    return {"LearnableChannelMixer": "specloom_mixer.mixer:LearnableChannelMixer"}
