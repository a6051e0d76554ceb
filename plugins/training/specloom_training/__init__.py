"""Phases: statistical fits, gradient training, threshold calibration, evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy


# Public names, imported on first use: written by `specloom plugins describe training --write`.
# End of public names.


@impl
def register_trainers() -> Mapping[str, str]:
    """Offer the phases."""
    return {
        "StatisticalTrainer": "specloom_training.statistical:StatisticalTrainer",
        "GradientTrainer": "specloom_training.gradient.trainer:GradientTrainer",
        "Calibrate": "specloom_training.calibrate:Calibrate",
        "Evaluate": "specloom_training.evaluate:Evaluate",
    }
