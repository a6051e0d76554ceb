"""Outlier estimators of scikit-learn and PyOD as detectors of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe outliers --write`.
__all__ = ["Estimator"]

if TYPE_CHECKING:
    from specloom_outliers.detector import Estimator
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detector."""
    return {"Estimator": "specloom_outliers.detector:Estimator"}
