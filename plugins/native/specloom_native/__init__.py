"""Kernels in C for other plugins; it offers no nodes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom.lazy import lazy

MODULES = {
    "Distances": "specloom_native.distances",
    "Engine": "specloom_native.loading",
    "Histograms": "specloom_native.histograms",
    "Limits": "specloom_native.sums",
    "MOST_COMPONENTS": "specloom_native.projection",
    "Projection": "specloom_native.projection",
    "RowMap": "specloom_native.sums",
    "RowSums": "specloom_native.sums",
    "background": "specloom_native.whitening",
    "engine": "specloom_native.loading",
    "extremes": "specloom_native.sums",
    "first_median": "specloom_native.sums",
    "mean_and_scatter": "specloom_native.sums",
    "moments": "specloom_native.sums",
    "native_library": "specloom_native.loading",
    "scale": "specloom_native.sums",
    "usable_rows": "specloom_native.sums",
    "value_range": "specloom_native.sums",
    "variances": "specloom_native.sums",
    "weighted_products": "specloom_native.weighted",
    "whiten": "specloom_native.whitening",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe native --write`.
__all__ = [
    "MOST_COMPONENTS",
    "Distances",
    "Engine",
    "Histograms",
    "Limits",
    "Projection",
    "RowMap",
    "RowSums",
    "background",
    "engine",
    "extremes",
    "first_median",
    "mean_and_scatter",
    "moments",
    "native_library",
    "scale",
    "usable_rows",
    "value_range",
    "variances",
    "weighted_products",
    "whiten",
]

if TYPE_CHECKING:
    from specloom_native.distances import Distances
    from specloom_native.histograms import Histograms
    from specloom_native.loading import Engine, engine, native_library
    from specloom_native.projection import MOST_COMPONENTS, Projection
    from specloom_native.sums import (
        Limits,
        RowMap,
        RowSums,
        extremes,
        first_median,
        mean_and_scatter,
        moments,
        scale,
        usable_rows,
        value_range,
        variances,
    )
    from specloom_native.weighted import weighted_products
    from specloom_native.whitening import background, whiten
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.
