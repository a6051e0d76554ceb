"""A saved pipeline applied to cubes: ``predict`` for one, ``predict_all`` for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from specloom import Run, RunView, impl
from specloom.lazy import lazy

MODULES = {
    "Input": "specloom_predict.inputs",
    "Prediction": "specloom_predict.prediction",
    "Predictor": "specloom_predict.predictor",
    "Summary": "specloom_predict.many",
    "check_out": "specloom_predict.inputs",
    "failure_text": "specloom_predict.many",
    "find_inputs": "specloom_predict.inputs",
    "predict": "specloom_predict.predictor",
    "predict_all": "specloom_predict.many",
    "run_tiled": "specloom_predict.tiled_run",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe predict --write`.
__all__ = [
    "Input",
    "Prediction",
    "Predictor",
    "Summary",
    "check_out",
    "failure_text",
    "find_inputs",
    "predict",
    "predict_all",
    "run_tiled",
]

if TYPE_CHECKING:
    from specloom_predict.inputs import Input, check_out, find_inputs
    from specloom_predict.many import Summary, failure_text, predict_all
    from specloom_predict.prediction import Prediction
    from specloom_predict.predictor import Predictor, predict
    from specloom_predict.tiled_run import run_tiled
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def make_predictor(run: RunView) -> Any:
    """Make the predictor behind ``Run.predict`` and ``Pipeline.predict``."""
    from specloom_predict.predictor import Predictor

    return Predictor(cast("Run", run))


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom predict``."""
    return {"predict": "specloom_predict.command:predict"}


@impl
def register_tasks() -> Mapping[str, str]:
    """Offer the prediction of cubes by any process."""
    return {"Cubes": "specloom_predict.cube_job:Cubes"}
