"""A gradient phase as a run file has it, and the objects of Python that stand for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from specloom_training.config import (
    CallbacksConfig,
    TrainerConfig,
    TrainingConfig,
    with_rate,
)
from specloom_training.parsing import to_plain

#: Names of a TrainerConfig that a phase has otherwise.
OTHERWISE = {"max_epochs": "epochs"}
CALLBACKS = ("early_stopping", "checkpoint")


def phase_of(training: TrainingConfig) -> dict[str, Any]:
    """The parameters of the phase, without those that are as by default."""
    config: dict[str, Any] = {}
    trainer = training.trainer
    for one in fields(TrainerConfig):
        value = getattr(trainer, one.name)
        if one.name == "max_epochs" or (one.default is not MISSING and value != one.default):
            config[OTHERWISE.get(one.name, one.name)] = value
    config["optimizer"] = _optimizer(training)
    if training.scheduler is not None:
        config["scheduler"] = to_plain(training.scheduler)
    callbacks = trainer.callbacks or CallbacksConfig()
    if callbacks.early_stopping:
        config["early_stopping"] = to_plain(callbacks.early_stopping)
    if callbacks.checkpoint is not None:
        config["checkpoint"] = to_plain(callbacks.checkpoint)
    return config


def training_from(config: Mapping[str, Any]) -> TrainingConfig:
    """The objects for the parameters of a phase; ``unfreeze``, ``losses`` and ``refit`` are not
    among them.
    """
    names = {one.name: OTHERWISE.get(one.name, one.name) for one in fields(TrainerConfig)}
    trainer = {own: config[name] for own, name in names.items() if name in config}
    callbacks = {name: config[name] for name in CALLBACKS if config.get(name)}
    plain: dict[str, Any] = {"trainer": {**trainer, "callbacks": callbacks}}
    for name in ("optimizer", "scheduler"):
        if config.get(name):
            plain[name] = config[name]
    return TrainingConfig.from_dict(plain)


def _optimizer(training: TrainingConfig) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(with_rate(training.optimizer))
    return plain
