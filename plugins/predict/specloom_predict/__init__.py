"""A saved pipeline applied to cubes: ``predict`` for one, ``predict_all`` for many."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from specloom import impl

if TYPE_CHECKING:
    from specloom_predict.many import Summary, predict_all
    from specloom_predict.prediction import Prediction, predict
    from specloom_predict.predictor import Predictor
    from specloom_predict.tiled_run import run_tiled

__all__ = ["Prediction", "Predictor", "Summary", "predict", "predict_all", "run_tiled"]

MODULES = {
    "Prediction": "specloom_predict.prediction",
    "Predictor": "specloom_predict.predictor",
    "Summary": "specloom_predict.many",
    "predict": "specloom_predict.prediction",
    "predict_all": "specloom_predict.many",
    "run_tiled": "specloom_predict.tiled_run",
}
"""Where each public name is imported from, when it is first used."""


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom predict``."""
    return {"predict": "specloom_predict.command:predict"}


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
