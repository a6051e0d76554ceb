"""What one gradient phase is to do, from a run file's parameters or from Python's objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from specloom import At, ConfigError, SpecloomError, did_you_mean
from specloom_training.config import (
    CallbacksConfig,
    EarlyStoppingConfig,
    ModelCheckpointConfig,
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
    TrainingConfig,
    with_rate,
)
from specloom_training.parsing import in_python, parse, to_plain

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
MODES = ("min", "max")
CLIPPING = ("norm", "value")


class PhaseParameters(Protocol):
    """The parameters of a gradient phase, as ``GradientTrainer`` stores them."""

    unfreeze: list[str] | None
    losses: list[str] | None
    refit: list[str] | None
    optimizer: dict[str, Any] | None
    scheduler: dict[str, Any] | None
    early_stopping: list[dict[str, Any]] | None
    checkpoint: dict[str, Any] | None
    loss_nodes: Sequence[Any] | None
    trainer_config: TrainerConfig | TrainingConfig | None
    optimizer_config: OptimizerConfig | None
    scheduler_config: SchedulerConfig | None

    def options(self) -> dict[str, Any]:
        """The parameters that a TrainerConfig holds as well, under its names."""


@dataclass(frozen=True)
class Settings:
    """What one gradient phase is to do."""

    unfreeze: list[str]
    losses: list[str] | None
    refit: list[str]
    trainer: TrainerConfig
    optimizer: OptimizerConfig
    scheduler: SchedulerConfig | None
    early_stopping: list[EarlyStoppingConfig]
    checkpoint: ModelCheckpointConfig | None

    def plain(self) -> dict[str, Any]:
        """All of it as mappings and values."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def monitors(self) -> list[tuple[str, str]]:
        """Each name that is monitored, and the parameter that names it."""
        monitored = [(one.monitor, "early_stopping") for one in self.early_stopping]
        if self.checkpoint and self.checkpoint.monitor:
            monitored.append((self.checkpoint.monitor, "checkpoint"))
        scheduler_monitor = getattr(self.scheduler, "monitor", None)
        if isinstance(scheduler_monitor, str):
            monitored.append((scheduler_monitor, "scheduler"))
        return monitored


class _Parser:
    """Parses the parameters of a phase and collects what is wrong with them."""

    def __init__(self, at: At) -> None:
        self.at = at
        self.problems: list[SpecloomError] = []

    def parse(self, cls: type[Any], value: Any, name: str, *inner: int) -> Any:
        """``value`` as an object of ``cls``; None where something is wrong with it."""
        made, problems = parse(cls, value, name, partial(self.at, name, *inner))
        self.problems += problems
        return made

    def parse_optional(self, cls: type[Any], value: Any, name: str) -> Any:
        """As ``parse``; None stays None."""
        if value is None:
            return None
        return self.parse(cls, value, name)


def settings_of(
    phase: PhaseParameters, at: At = in_python
) -> tuple[Settings | None, list[SpecloomError]]:
    """The settings of a phase; None, and the reasons, where they do not make sense."""
    parser = _Parser(at)
    training = training_of(phase)
    trainer_config: Any = phase.trainer_config
    if training is not None:
        trainer_config = training.trainer
    trainer = parser.parse(TrainerConfig, trainer_config or phase.options(), "trainer")
    if parser.problems:
        return None, parser.problems
    callbacks = _callbacks(trainer)
    stopping = [
        parser.parse(EarlyStoppingConfig, one, "early_stopping", number)
        for number, one in enumerate([*callbacks.early_stopping, *(phase.early_stopping or ())])
    ]
    checkpoint = parser.parse_optional(
        ModelCheckpointConfig, callbacks.checkpoint or phase.checkpoint, "checkpoint"
    )
    optimizer = parser.parse(
        OptimizerConfig,
        phase.optimizer_config or phase.optimizer or _optimizer_of(training),
        "optimizer",
    )
    scheduler_config: Any = phase.scheduler_config or phase.scheduler
    if scheduler_config is None and training is not None:
        scheduler_config = training.scheduler
    scheduler = parser.parse_optional(SchedulerConfig, scheduler_config, "scheduler")
    if parser.problems:
        return None, parser.problems
    settings = Settings(
        unfreeze=phase.unfreeze or [],
        losses=_loss_names(phase),
        refit=phase.refit or [],
        trainer=trainer,
        optimizer=optimizer,
        scheduler=scheduler,
        early_stopping=stopping,
        checkpoint=checkpoint,
    )
    problems = _RangeCheck(at).check(settings)
    if problems:
        return None, problems
    return settings, []


def training_of(phase: PhaseParameters) -> TrainingConfig | None:
    """The whole configuration behind ``trainer_config``; None where there is none."""
    config = phase.trainer_config
    if isinstance(config, TrainingConfig):
        return config
    if isinstance(config, TrainerConfig):
        return config.training()
    return None


def _optimizer_of(training: TrainingConfig | None) -> OptimizerConfig:
    """The optimiser where the phase has none of its own."""
    if training is None:
        return with_rate(OptimizerConfig())
    return with_rate(training.optimizer)


def _callbacks(trainer: TrainerConfig | None) -> CallbacksConfig:
    if trainer is None or trainer.callbacks is None:
        return CallbacksConfig()
    return trainer.callbacks


def _loss_names(phase: PhaseParameters) -> list[str] | None:
    if phase.loss_nodes:
        return [node.name for node in phase.loss_nodes]
    return phase.losses


class _RangeCheck:
    """Finds values that are wrong in themselves."""

    def __init__(self, at: At) -> None:
        self.at = at
        self.problems: list[SpecloomError] = []

    def check(self, settings: Settings) -> list[SpecloomError]:
        """Everything that is out of its range."""
        self._trainer(settings.trainer)
        for stopping in settings.early_stopping:
            self._one_of(MODES, vars(stopping), "mode", "early_stopping")
            self._at_least(1, vars(stopping), "patience", "early_stopping")
        if settings.checkpoint is not None:
            checkpoint = vars(settings.checkpoint)
            self._one_of(MODES, checkpoint, "mode", "checkpoint")
            self._at_least(-1, checkpoint, "save_top_k", "checkpoint")
            self._at_least(1, checkpoint, "every_n_epochs", "checkpoint")
        return self.problems

    def _trainer(self, trainer: TrainerConfig) -> None:
        values = vars(trainer)
        if trainer.precision not in PRECISIONS:
            fix = f"use one of: {', '.join(sorted(PRECISIONS))}"
            self._add(f"precision is {trainer.precision!r}", "precision", fix)
        self._one_of(CLIPPING, values, "gradient_clip_algorithm")
        self._at_least(1, {"epochs": trainer.max_epochs}, "epochs")
        self._at_least(1, values, "accumulate_grad_batches")
        self._at_least(1, values, "check_val_every_n_epoch")
        clip = trainer.gradient_clip_val
        if clip is not None and not clip > 0:
            what = f"gradient_clip_val is {clip}"
            self._add(what, "gradient_clip_val", "give more than 0, or remove it")
        self._at_least(0, values, "cache_memory_mb")
        self._at_least(0, values, "cache_disk_mb")

    def _one_of(
        self, options: tuple[str, ...], values: Mapping[str, Any], name: str, group: str = ""
    ) -> None:
        value = values[name]
        if value not in options:
            what = f"{_label(group, name)} is {value!r}"
            self._add(what, group or name, did_you_mean(value, options))

    def _at_least(
        self, least: float, values: Mapping[str, Any], name: str, group: str = ""
    ) -> None:
        value = values[name]
        if not value >= least:
            self._add(f"{_label(group, name)} is {value}", group or name, f"give {least} or more")

    def _add(self, what: str, place: str, fix: str) -> None:
        self.problems.append(ConfigError(what, where=self.at(place), fix=fix))


def _label(group: str, name: str) -> str:
    if group:
        return f"{group}: {name}"
    return name
