"""What one gradient phase is to do, from a run file's parameters or from Python's objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom import At, ConfigError, SpecloomError, did_you_mean
from specloom_training.config import (
    CallbacksConfig,
    EarlyStoppingConfig,
    ModelCheckpointConfig,
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
)
from specloom_training.reading import nowhere, plain, read

if TYPE_CHECKING:
    from specloom_training.gradient.trainer import GradientTrainer

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
MODES = ("min", "max")
CLIPPING = ("norm", "value")


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
        found: dict[str, Any] = plain(self)
        return found

    def monitors(self) -> list[tuple[str, str]]:
        """Each name that is monitored, and the parameter that says so."""
        found = [(one.monitor, "early_stopping") for one in self.early_stopping]
        if self.checkpoint and self.checkpoint.monitor:
            found.append((self.checkpoint.monitor, "checkpoint"))
        if self.scheduler and isinstance(name := getattr(self.scheduler, "monitor", None), str):
            found.append((name, "scheduler"))
        return found


def settle(phase: GradientTrainer, at: At = nowhere) -> tuple[Settings | None, list[SpecloomError]]:
    """The settings of a phase; None, and the reasons, where they do not make sense."""
    problems: list[SpecloomError] = []

    def got(cls: type[Any], given: Any, name: str, *inner: int) -> Any:
        made, wrong = read(cls, given, name, partial(at, name, *inner))
        problems.extend(wrong)
        return made

    trainer = got(TrainerConfig, phase.trainer_config or phase.options(), "trainer")
    calls = (trainer and trainer.callbacks) or CallbacksConfig()
    optimizer = phase.optimizer_config or phase.optimizer or OptimizerConfig(lr=1e-3)
    scheduler: Any = phase.scheduler_config or phase.scheduler
    stopping = [
        got(EarlyStoppingConfig, one, "early_stopping", i)
        for i, one in enumerate((*calls.early_stopping, *(phase.early_stopping or ())))
    ]
    checkpoint = calls.checkpoint or phase.checkpoint
    if checkpoint is not None:
        checkpoint = got(ModelCheckpointConfig, checkpoint, "checkpoint")
    optimizer = got(OptimizerConfig, optimizer, "optimizer")
    scheduler = None if scheduler is None else got(SchedulerConfig, scheduler, "scheduler")
    if problems:
        return None, problems
    losses = [one.name for one in phase.loss_nodes] if phase.loss_nodes else phase.losses
    unfreeze, refit = phase.unfreeze or [], phase.refit or []
    made = Settings(unfreeze, losses, refit, trainer, optimizer, scheduler, stopping, checkpoint)
    problems = [*_ranges(made, at)]
    return (None if problems else made), problems


def _ranges(made: Settings, at: At) -> list[SpecloomError]:
    """Values that are wrong in themselves."""
    problems: list[SpecloomError] = []

    def one_of(value: str, options: tuple[str, ...], name: str, place: str) -> None:
        if value not in options:
            fix = did_you_mean(value, options)
            problems.append(ConfigError(f"{name} is {value!r}", where=at(place), fix=fix))

    def least(value: float, limit: float, name: str, place: str) -> None:
        if not value >= limit:
            fix = f"give {limit} or more"
            problems.append(ConfigError(f"{name} is {value}", where=at(place), fix=fix))

    trainer, checkpoint = made.trainer, made.checkpoint
    one_of(trainer.precision, PRECISIONS, "precision", "precision")
    algorithm = "gradient_clip_algorithm"
    one_of(trainer.gradient_clip_algorithm, CLIPPING, algorithm, algorithm)
    least(trainer.max_epochs, 1, "epochs", "epochs")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        least(getattr(trainer, name), 1, name, name)
    if trainer.gradient_clip_val is not None and not trainer.gradient_clip_val > 0:
        what = f"gradient_clip_val is {trainer.gradient_clip_val}"
        fix = "give more than 0, or remove it"
        problems.append(ConfigError(what, where=at("gradient_clip_val"), fix=fix))
    for name in ("cache_memory_mb", "cache_disk_mb"):
        least(getattr(trainer, name), 0, name, name)
    for stop in made.early_stopping:
        one_of(stop.mode, MODES, "early_stopping: mode", "early_stopping")
        least(stop.patience, 1, "early_stopping: patience", "early_stopping")
    if checkpoint:
        one_of(checkpoint.mode, MODES, "checkpoint: mode", "checkpoint")
        least(checkpoint.save_top_k, -1, "checkpoint: save_top_k", "checkpoint")
        least(checkpoint.every_n_epochs, 1, "checkpoint: every_n_epochs", "checkpoint")
    return problems
