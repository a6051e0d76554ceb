"""Streaming, mergeable statistics of pixels, for plugins; it offers no nodes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom.lazy import lazy

MODULES = {
    "Accumulator": "specloom_statistics.node",
    "Moments": "specloom_statistics.moments",
    "PixelSample": "specloom_statistics.sample",
    "QuantileSketch": "specloom_statistics.sketch",
    "RunningExtremes": "specloom_statistics.extremes",
    "RunningVariance": "specloom_statistics.variance",
    "SampleMoments": "specloom_statistics.merging",
    "SmallestKeys": "specloom_statistics.sample",
    "StreamingNode": "specloom_statistics.node",
    "content_seed": "specloom_statistics.sample",
    "image_masks": "specloom_statistics.blocks",
    "merge_moments": "specloom_statistics.merging",
    "quantiles": "specloom_statistics.ranks",
    "row_blocks": "specloom_statistics.blocks",
    "rows_per_block": "specloom_statistics.blocks",
    "varying_bands": "specloom_statistics.moments",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe statistics --write`.
__all__ = [
    "Accumulator",
    "Moments",
    "PixelSample",
    "QuantileSketch",
    "RunningExtremes",
    "RunningVariance",
    "SampleMoments",
    "SmallestKeys",
    "StreamingNode",
    "content_seed",
    "image_masks",
    "merge_moments",
    "quantiles",
    "row_blocks",
    "rows_per_block",
    "varying_bands",
]

if TYPE_CHECKING:
    from specloom_statistics.blocks import image_masks, row_blocks, rows_per_block
    from specloom_statistics.extremes import RunningExtremes
    from specloom_statistics.merging import SampleMoments, merge_moments
    from specloom_statistics.moments import Moments, varying_bands
    from specloom_statistics.node import Accumulator, StreamingNode
    from specloom_statistics.ranks import quantiles
    from specloom_statistics.sample import PixelSample, SmallestKeys, content_seed
    from specloom_statistics.sketch import QuantileSketch
    from specloom_statistics.variance import RunningVariance
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.
