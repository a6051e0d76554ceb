"""Pooled and exact metrics of anomaly detection."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import Port, impl
from specloom.lazy import lazy

__version__ = "0.2.0"

METRICS = Port(
    None,
    dtype="scalars",
    kind="metrics.metrics",
    per_stage=True,
    doc="Metrics by name, over a whole stage.",
)


MODULES = {
    "CRITERIA": "specloom_metrics.curves",
    "ScoreBins": "specloom_metrics.threshold_search",
    "ThresholdSearch": "specloom_metrics.threshold_search",
    "best_threshold": "specloom_metrics.curves",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe metrics --write`.
__all__ = [
    "CRITERIA",
    "METRICS",
    "AnomalyDetectionMetrics",
    "ScoreBins",
    "ThresholdSearch",
    "best_threshold",
]

if TYPE_CHECKING:
    from specloom_metrics.anomaly import AnomalyDetectionMetrics
    from specloom_metrics.curves import CRITERIA, best_threshold
    from specloom_metrics.threshold_search import ScoreBins, ThresholdSearch
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {"AnomalyDetectionMetrics": "specloom_metrics.anomaly:AnomalyDetectionMetrics"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that metrics are."""
    return {"metrics": METRICS}
