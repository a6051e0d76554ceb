"""The configuration objects of the tutorials: strict from mappings, and written to files."""

from __future__ import annotations

import pytest

from specloom import ConfigError, Problems
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
from specloom_training.gradient import GradientTrainer
from specloom_training.gradient.settings import settings_of
from specloom_training.parsing import to_plain

OPTIONS = {
    "seed": 42,
    "trainer": {
        "max_epochs": 20,
        "gradient_clip_val": 1,
        "callbacks": {
            "early_stopping": [{"monitor": "train/bce", "patience": 20}],
            "checkpoint": {"monitor": "metrics_anomaly/iou", "mode": "max", "save_top_k": 3},
        },
    },
    "optimizer": {"name": "adamw", "lr": 1e-3, "betas": [0.9, 0.99]},
    "scheduler": {"name": "reduce_on_plateau", "monitor": "metrics_anomaly/iou", "mode": "max"},
}


def test_nested_mappings_make_nested_objects():
    made = TrainingConfig.from_dict(OPTIONS)
    assert made.seed == 42
    assert made.trainer.max_epochs == 20
    assert made.trainer.callbacks.early_stopping == [EarlyStoppingConfig("train/bce", patience=20)]
    assert made.trainer.callbacks.checkpoint.save_top_k == 3
    assert made.optimizer.lr == 1e-3
    assert made.scheduler.monitor == "metrics_anomaly/iou"
    assert TrainingConfig.from_dict(to_plain(made)) == made
    assert TrainingConfig.from_dict({}) == TrainingConfig()


def test_the_tutorials_lines_run():
    training = TrainingConfig.from_dict({"trainer": {"max_epochs": 50}})
    if training.trainer.callbacks is None:
        training.trainer.callbacks = CallbacksConfig()
    training.trainer.callbacks.early_stopping.append(
        EarlyStoppingConfig(monitor="train/bce", mode="min", patience=20)
    )
    training.scheduler = SchedulerConfig(
        name="reduce_on_plateau", monitor="metrics/iou", mode="max", factor=0.5, patience=5
    )
    training.trainer.callbacks.checkpoint = ModelCheckpointConfig(
        dirpath="outputs/checkpoints",
        monitor="metrics/iou",
        mode="max",
        save_top_k=3,
        save_last=True,
        filename="{epoch:02d}",
        verbose=True,
    )
    phase = GradientTrainer(
        trainer_config=training.trainer,
        optimizer_config=training.optimizer,
        scheduler_config=training.scheduler,
    )
    settings, problems = settings_of(phase)
    assert problems == []
    assert settings.monitors() == [
        ("train/bce", "early_stopping"),
        ("metrics/iou", "checkpoint"),
        ("metrics/iou", "scheduler"),
    ]
    assert settings.trainer.max_epochs == 50
    assert settings.scheduler.factor == 0.5


MISTAKES = {
    "name": (
        {"trainer": {"max_epoch": 3}},
        "training.trainer has no parameter 'max_epoch'\n  fix: did you mean 'max_epochs'?",
    ),
    "type": (
        {"trainer": {"max_epochs": "3"}},
        "training.trainer.max_epochs should be a valid integer, got '3'"
        "\n  fix: change max_epochs, or remove it to use the default",
    ),
    "boolean": (
        {"trainer": {"max_epochs": True}},
        "training.trainer.max_epochs should be a valid integer, got True"
        "\n  fix: change max_epochs, or remove it to use the default",
    ),
    "mapping": (
        {"trainer": 3},
        "training.trainer is 3, not a mapping\n  fix: write 'key: value' lines",
    ),
    "missing": (
        {"trainer": {"callbacks": {"early_stopping": [{"mode": "max"}]}}},
        "training.trainer.callbacks.early_stopping[0] needs the parameter 'monitor'\n"
        "  fix: add monitor: … to it",
    ),
    "optimizer": ({"optimizer": {}}, "training.optimizer has no name\n  fix: add name: … to it"),
    "unknown": (
        {"schedular": {}},
        "training has no parameter 'schedular'\n  fix: did you mean 'scheduler'?",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(wrong, message):
    with pytest.raises(ConfigError) as caught:
        TrainingConfig.from_dict(wrong)
    assert str(caught.value) == message


def test_several_mistakes_are_told_together():
    with pytest.raises(Problems) as caught:
        TrainingConfig.from_dict({"seed": "x", "trainer": {"epochs": 1}})
    assert len(caught.value.errors) == 2


def test_optimiser_and_scheduler_hold_what_they_were_given():
    config = OptimizerConfig(name="sgd", lr=0.1)
    config.momentum = 0.9
    assert to_plain(config) == {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    assert config == OptimizerConfig(name="sgd", momentum=0.9, lr=0.1)


def test_a_pipelines_metadata_are_what_save_to_file_takes():
    made = PipelineMetadata(name="x", tags=["gradient"])
    assert vars(made) == {"name": "x", "description": "", "tags": ["gradient"], "author": ""}


def test_phases_and_objects_share_their_defaults():
    assert TrainerConfig(**GradientTrainer().options()) == TrainerConfig()


def test_callbacks_are_always_there():
    for training in (
        TrainingConfig(),
        TrainingConfig.from_dict({}),
        TrainingConfig.from_dict({"trainer": {"max_epochs": 2}}),
        TrainingConfig.from_dict({"trainer": {"callbacks": None}}),
    ):
        training.trainer.callbacks.early_stopping.append(EarlyStoppingConfig("train/bce"))
        assert training.trainer.callbacks.checkpoint is None
    assert TrainerConfig().callbacks == CallbacksConfig()


@pytest.mark.parametrize("whole", [True, False])
def test_the_whole_configuration_is_accepted(whole):
    training = TrainingConfig.from_dict({**OPTIONS, "scheduler": None})
    training.scheduler = SchedulerConfig("step", step_size=2)
    config = training if whole else training.trainer
    phase = GradientTrainer(trainer_config=config)
    settings, problems = settings_of(phase)
    assert problems == []
    assert settings.trainer is training.trainer
    assert settings.optimizer is training.optimizer
    assert settings.scheduler is training.scheduler
    assert phase.seed_of_run() == 42


def test_what_is_passed_by_itself_comes_first():
    training = TrainingConfig.from_dict(OPTIONS)
    optimizer = OptimizerConfig("sgd", lr=0.1)
    scheduler = SchedulerConfig("step", step_size=2)
    phase = GradientTrainer(
        trainer_config=training,
        optimizer_config=optimizer,
        scheduler_config=scheduler,
        seed=7,
    )
    settings, problems = settings_of(phase)
    assert problems == []
    assert settings.optimizer is optimizer
    assert settings.scheduler is scheduler
    assert phase.seed_of_run() == 7


def test_a_trainer_of_its_own_brings_nothing_else():
    phase = GradientTrainer(trainer_config=TrainerConfig(max_epochs=3))
    settings, problems = settings_of(phase)
    assert problems == []
    assert settings.optimizer == OptimizerConfig(lr=1e-3)
    assert settings.scheduler is None
    assert phase.seed_of_run() == 0
