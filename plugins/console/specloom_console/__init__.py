"""Progress of a run on the standard error stream."""

from collections.abc import Mapping

from specloom import impl

__version__ = "0.2.0"


@impl
def register_observers() -> Mapping[str, str]:
    """Offer the observer."""
    return {"Progress": "specloom_console.progress:Progress"}
