"""Pooled and exact metrics of anomaly detection."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from specloom import Port, impl

__all__ = ["CRITERIA", "METRICS", "AnomalyDetectionMetrics", "best_threshold"]

if TYPE_CHECKING:
    from specloom_metrics.anomaly import AnomalyDetectionMetrics
    from specloom_metrics.curves import CRITERIA, best_threshold
else:
    # Loaded when they are used: the command line imports every plugin, and torch takes seconds.
    _MODULES = {
        "AnomalyDetectionMetrics": "specloom_metrics.anomaly",
        "CRITERIA": "specloom_metrics.curves",
        "best_threshold": "specloom_metrics.curves",
    }

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


__version__ = "0.1.0"

METRICS = Port(
    None,
    dtype="scalars",
    kind="metrics.metrics",
    per_stage=True,
    doc="Metrics by name, over a whole stage.",
)


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {"AnomalyDetectionMetrics": "specloom_metrics.anomaly:AnomalyDetectionMetrics"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that metrics are."""
    return {"metrics": METRICS}
