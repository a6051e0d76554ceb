"""Streaming, mergeable statistics of pixels, for plugins; it offers no nodes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Accumulator": "specloom_statistics.node",
    "BandProduct": "specloom_statistics.band_products",
    "BackgroundNode": "specloom_statistics.background",
    "BackgroundSample": "specloom_statistics.background",
    "DomainMeasure": "specloom_statistics.domain.measure",
    "DomainPixels": "specloom_statistics.domain.measure",
    "DomainReference": "specloom_statistics.domain.reference",
    "DomainSample": "specloom_statistics.domain.sample",
    "FitsByMoments": "specloom_statistics.sharing",
    "Moments": "specloom_statistics.moments",
    "MomentsNode": "specloom_statistics.sharing",
    "PixelAccumulator": "specloom_statistics.background",
    "PixelSample": "specloom_statistics.sample",
    "QuantileSketch": "specloom_statistics.sketch",
    "RunningExtremes": "specloom_statistics.extremes",
    "RunningVariance": "specloom_statistics.variance",
    "SampleMoments": "specloom_statistics.merging",
    "SmallestKeys": "specloom_statistics.sample",
    "StreamingNode": "specloom_statistics.node",
    "EqualTensors": "specloom_statistics.cache",
    "TensorCache": "specloom_statistics.cache",
    "background_pixels": "specloom_statistics.background",
    "content_seed": "specloom_statistics.sample",
    "engine_identity": "specloom_statistics.native",
    "image_masks": "specloom_statistics.blocks",
    "join_states": "specloom_statistics.states",
    "map_moments": "specloom_statistics.sharing",
    "measure_domain": "specloom_statistics.domain.measure",
    "merge_moments": "specloom_statistics.merging",
    "merge_without_waiting": "specloom_statistics.merging",
    "native_kernels": "specloom_statistics.native",
    "part_of_state": "specloom_statistics.states",
    "quantiles": "specloom_statistics.ranks",
    "row_blocks": "specloom_statistics.blocks",
    "rows_per_block": "specloom_statistics.blocks",
    "sample_positions": "specloom_statistics.domain.positions",
    "varying_bands": "specloom_statistics.moments",
    "warn_of_few_pixels": "specloom_statistics.support",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe statistics --write`.
__all__ = [
    "Accumulator",
    "BackgroundNode",
    "BackgroundSample",
    "BandProduct",
    "DomainMeasure",
    "DomainPixels",
    "DomainReference",
    "DomainSample",
    "EqualTensors",
    "FitsByMoments",
    "Moments",
    "MomentsNode",
    "PixelAccumulator",
    "PixelSample",
    "QuantileSketch",
    "RunningExtremes",
    "RunningVariance",
    "SampleMoments",
    "SmallestKeys",
    "StreamingNode",
    "TensorCache",
    "background_pixels",
    "content_seed",
    "engine_identity",
    "image_masks",
    "join_states",
    "map_moments",
    "measure_domain",
    "merge_moments",
    "merge_without_waiting",
    "native_kernels",
    "part_of_state",
    "quantiles",
    "row_blocks",
    "rows_per_block",
    "sample_positions",
    "varying_bands",
    "warn_of_few_pixels",
]

if TYPE_CHECKING:
    from specloom_statistics.background import (
        BackgroundNode,
        BackgroundSample,
        PixelAccumulator,
        background_pixels,
    )
    from specloom_statistics.band_products import BandProduct
    from specloom_statistics.blocks import image_masks, row_blocks, rows_per_block
    from specloom_statistics.cache import EqualTensors, TensorCache
    from specloom_statistics.domain.measure import DomainMeasure, DomainPixels, measure_domain
    from specloom_statistics.domain.positions import sample_positions
    from specloom_statistics.domain.reference import DomainReference
    from specloom_statistics.domain.sample import DomainSample
    from specloom_statistics.extremes import RunningExtremes
    from specloom_statistics.merging import SampleMoments, merge_moments, merge_without_waiting
    from specloom_statistics.moments import Moments, varying_bands
    from specloom_statistics.native import engine_identity, native_kernels
    from specloom_statistics.node import Accumulator, StreamingNode
    from specloom_statistics.ranks import quantiles
    from specloom_statistics.sample import PixelSample, SmallestKeys, content_seed
    from specloom_statistics.sharing import FitsByMoments, MomentsNode, map_moments
    from specloom_statistics.sketch import QuantileSketch
    from specloom_statistics.states import join_states, part_of_state
    from specloom_statistics.support import warn_of_few_pixels
    from specloom_statistics.variance import RunningVariance
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_observers() -> Mapping[str, str]:
    """Offer the observer that records which engine computed."""
    return {"EngineRecord": "specloom_statistics.native:EngineRecord"}
