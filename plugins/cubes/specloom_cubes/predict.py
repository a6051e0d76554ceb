"""The place that ``specloom_predict`` had in version 0.1; it goes in 0.3."""

from __future__ import annotations

import warnings

from specloom import Plugins, SpecloomWarning

NAMES = ("Prediction", "predict", "predict_all")


def __getattr__(name: str) -> object:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    what = f"specloom_cubes.predict.{name} is now specloom_predict.{name}; the old one goes in 0.3"
    warnings.warn(what, SpecloomWarning, stacklevel=2)
    return getattr(Plugins().need("predict"), name)
