"""Detectors and pipelines as estimators of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom.lazy import lazy

MODULES = {
    "PixelDetector": "specloom_sklearn.estimator",
    "as_estimator": "specloom_sklearn.estimator",
}
"""Where each public name is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe sklearn --write`.
__all__ = ["PixelDetector", "as_estimator"]

if TYPE_CHECKING:
    from specloom_sklearn.estimator import PixelDetector, as_estimator
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.
