"""Pooled and exact metrics of anomaly detection."""

from collections.abc import Mapping

from specloom import Port, impl

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
