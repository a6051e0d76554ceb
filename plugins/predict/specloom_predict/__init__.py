"""A saved pipeline applied to cubes: ``predict`` for one, ``predict_all`` for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Prediction": "specloom_predict.scene",
    "Predictor": "specloom_predict.predictor",
    "Summary": "specloom_predict.many",
    "predict": "specloom_predict.scene",
    "predict_all": "specloom_predict.many",
}
"""Where each public name is imported from, when it is first used."""


# Public names, imported on first use: written by `specloom plugins describe predict --write`.
__all__ = ["Prediction", "Predictor", "Summary", "predict", "predict_all"]

if TYPE_CHECKING:
    from specloom_predict.many import Summary, predict_all
    from specloom_predict.predictor import Predictor
    from specloom_predict.scene import Prediction, predict
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom predict``."""
    return {"predict": "specloom_predict.command:predict"}
