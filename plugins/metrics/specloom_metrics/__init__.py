"""Pooled and exact metrics of anomaly detection."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import Port, impl
from specloom.lazy import lazy

__version__ = "0.1.0"

METRICS = Port(
    None,
    dtype="scalars",
    kind="metrics.metrics",
    per_stage=True,
    doc="Metrics by name, over a whole stage.",
)


# Public names, imported on first use: written by `specloom plugins describe metrics --write`.
__all__ = ["METRICS", "AnomalyDetectionMetrics"]

if TYPE_CHECKING:
    from specloom_metrics.anomaly import AnomalyDetectionMetrics
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {"AnomalyDetectionMetrics": "specloom_metrics.anomaly:AnomalyDetectionMetrics"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that metrics are."""
    return {"metrics": METRICS}
