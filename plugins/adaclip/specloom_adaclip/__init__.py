"""Zero-shot anomaly detection by AdaCLIP; nothing heavy is imported before a graph uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe adaclip --write`.
__all__ = ["AdaCLIPDetector"]

if TYPE_CHECKING:
    from specloom_adaclip.detector import AdaCLIPDetector
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detector."""
    return {"AdaCLIPDetector": "specloom_adaclip.detector:AdaCLIPDetector"}


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom weights``."""
    return {"weights": "specloom_adaclip.commands:weights"}
