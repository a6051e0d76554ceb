"""Learnable mixing of bands into a few channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe mixer --write`.
__all__ = ["LearnableChannelMixer"]

if TYPE_CHECKING:
    from specloom_mixer.mixer import LearnableChannelMixer
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the mixer."""
    return {"LearnableChannelMixer": "specloom_mixer.mixer:LearnableChannelMixer"}
