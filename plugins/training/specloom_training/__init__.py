"""Phases: statistical fits, gradient training, threshold calibration, evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from specloom import Run, RunView, impl
from specloom.lazy import lazy

MODULES = {
    "CallbacksConfig": "specloom_training.config",
    "EarlyStoppingConfig": "specloom_training.config",
    "ModelCheckpointConfig": "specloom_training.config",
    "OptimizerConfig": "specloom_training.config",
    "PipelineMetadata": "specloom_training.config",
    "SchedulerConfig": "specloom_training.config",
    "TrainRunConfig": "specloom_training.train_run",
    "TrainerConfig": "specloom_training.config",
    "TrainingConfig": "specloom_training.config",
}
"""Where each other public name is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe training --write`.
__all__ = [
    "Calibrate",
    "CallbacksConfig",
    "EarlyStoppingConfig",
    "Evaluate",
    "GradientTrainer",
    "ModelCheckpointConfig",
    "OptimizerConfig",
    "PipelineMetadata",
    "SchedulerConfig",
    "StatisticalTrainer",
    "TrainRunConfig",
    "TrainerConfig",
    "TrainingConfig",
]

if TYPE_CHECKING:
    from specloom_training.calibrate import Calibrate
    from specloom_training.config import (
        CallbacksConfig,
        EarlyStoppingConfig,
        ModelCheckpointConfig,
        OptimizerConfig,
        PipelineMetadata,
        SchedulerConfig,
        TrainerConfig,
        TrainingConfig,
    )
    from specloom_training.evaluate import Evaluate
    from specloom_training.gradient.trainer import GradientTrainer
    from specloom_training.statistical import StatisticalTrainer
    from specloom_training.train_run import TrainRunConfig
else:
    __getattr__ = lazy(__name__, **MODULES)
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


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom import``."""
    return {"import": "specloom_training.importing.command:import_"}


@impl
def fit_pipeline(run: RunView) -> bool:
    """Fit every node that learns from the training data, for ``Pipeline.fit``."""
    from specloom_training.statistical import StatisticalTrainer

    StatisticalTrainer().train(cast("Run", run))
    return True


@impl
def register_tasks() -> Mapping[str, str]:
    """Offer the work of the phases that other processes can do."""
    return {
        "Fit": "specloom_training.tasks:Fit",
        "Measure": "specloom_training.tasks:Measure",
        "Collect": "specloom_training.calibration.passes:Collect",
        "HashImages": "specloom_training.calibration.same_images:HashImages",
    }
