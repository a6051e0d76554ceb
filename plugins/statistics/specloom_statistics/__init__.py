"""Streaming, mergeable statistics of pixels, for plugins; it offers no nodes of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "Accumulator",
    "Moments",
    "PixelSample",
    "RunningExtremes",
    "RunningVariance",
    "SampleMoments",
    "SmallestKeys",
    "StreamingNode",
    "content_seed",
    "merge_moments",
    "quantiles",
    "row_blocks",
    "rows_per_block",
    "varying_bands",
]

if TYPE_CHECKING:
    from specloom_statistics.blocks import row_blocks, rows_per_block
    from specloom_statistics.extremes import RunningExtremes
    from specloom_statistics.merging import SampleMoments, merge_moments
    from specloom_statistics.moments import Moments, varying_bands
    from specloom_statistics.node import Accumulator, StreamingNode
    from specloom_statistics.ranks import quantiles
    from specloom_statistics.sample import PixelSample, SmallestKeys, content_seed
    from specloom_statistics.variance import RunningVariance
else:
    # Loaded when they are used: the command line imports every plugin, and torch takes seconds.
    _MODULES = {
        "Accumulator": "specloom_statistics.node",
        "Moments": "specloom_statistics.moments",
        "PixelSample": "specloom_statistics.sample",
        "RunningExtremes": "specloom_statistics.extremes",
        "RunningVariance": "specloom_statistics.variance",
        "SampleMoments": "specloom_statistics.merging",
        "SmallestKeys": "specloom_statistics.sample",
        "StreamingNode": "specloom_statistics.node",
        "content_seed": "specloom_statistics.sample",
        "merge_moments": "specloom_statistics.merging",
        "quantiles": "specloom_statistics.ranks",
        "row_blocks": "specloom_statistics.blocks",
        "rows_per_block": "specloom_statistics.blocks",
        "varying_bands": "specloom_statistics.moments",
    }

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
