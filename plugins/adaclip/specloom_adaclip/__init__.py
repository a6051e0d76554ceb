"""Zero-shot anomaly detection by AdaCLIP; nothing heavy is imported before a graph uses it."""

from __future__ import annotations

from collections.abc import Mapping

from specloom import impl


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detector."""
    return {"AdaCLIPDetector": "specloom_adaclip.detector:AdaCLIPDetector"}


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom weights``."""
    return {"weights": "specloom_adaclip.commands:weights"}
