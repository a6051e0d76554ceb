"""How training is set up: the same objects in Python and behind the phases of run files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from specloom import ConfigError, did_you_mean, raise_all
from specloom_training.parsing import parse


class StrictConfig:
    """A base of dataclasses that refuse names that are none of their parameters."""

    def __new__(cls, *_args: Any, **options: Any) -> Self:
        """Make an object; its ``__init__`` is the one of the dataclass.

        Raises:
            ConfigError: An option has the name of no parameter.
        """
        for name in options:
            _require_known(cls, name)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            _require_known(type(self), name)
        super().__setattr__(name, value)


def _require_known(cls: Any, name: str) -> None:
    """Raise ConfigError unless a dataclass has a parameter of this name."""
    known = [one.name for one in fields(cls)]
    if name not in known:
        what = f"{cls.__name__} has no parameter {name!r}"
        raise ConfigError(what, fix=did_you_mean(name, known))


class OptimizerConfig(SimpleNamespace):
    """Any optimiser of ``torch.optim``, by name, with its own parameters.

    >>> OptimizerConfig(name="sgd", lr=0.1, momentum=0.9).lr
    0.1
    """

    def __init__(self, name: str = "adamw", **options: Any) -> None:
        super().__init__(name=name, **options)


def with_rate(optimizer: OptimizerConfig) -> OptimizerConfig:
    """The optimiser itself, or AdamW with a learning rate of 1e-3 where nothing was chosen."""
    if optimizer == OptimizerConfig():
        return OptimizerConfig(lr=1e-3)
    return optimizer


class SchedulerConfig(SimpleNamespace):
    """Any learning-rate scheduler of torch, by name, with its own parameters.

    ``reduce_on_plateau`` watches ``monitor``. ``interval`` is ``epoch``, or ``step`` for one
    step after each step of the optimiser.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name=name, **options)


@dataclass
class EarlyStoppingConfig(StrictConfig):
    """Stop when ``monitor`` has not improved by more than ``min_delta`` for ``patience`` checks."""

    monitor: str
    mode: str = "min"
    patience: int = 3
    min_delta: float = 0.0


@dataclass
class ModelCheckpointConfig(StrictConfig):
    """Save the ``save_top_k`` best states by ``monitor`` (-1: all), and end with the best.

    ``filename`` may hold ``{epoch:02d}`` and ``{metrics/iou:.3f}``. Without ``dirpath`` they go
    to ``checkpoints`` in the results folder; in Python, without one, only the best is held, in
    memory. ``verbose`` writes a message for each.
    """

    monitor: str | None = None
    mode: str = "min"
    save_top_k: int = 1
    save_last: bool = False
    filename: str = "{epoch:02d}"
    dirpath: str | Path | None = None
    every_n_epochs: int = 1
    verbose: bool = False


@dataclass
class CallbacksConfig(StrictConfig):
    """What may stop a training early, and what it saves."""

    early_stopping: list[EarlyStoppingConfig] = field(default_factory=list)
    checkpoint: ModelCheckpointConfig | None = None


@dataclass
class TrainerConfig(StrictConfig):
    """How long and how gradient training runs.

    ``precision`` is ``32-true``, ``bf16-mixed`` or ``16-mixed`` (GPU). With ``cache`` the frozen
    front of the graph is computed once for each image, and its output stored, up to
    ``cache_memory_mb`` in memory and ``cache_disk_mb`` on disk. ``shuffle`` gives the images a new
    order in each epoch, where the source can. ``callbacks`` is never None.
    """

    max_epochs: int = 30
    precision: str | int = "32-true"
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    accumulate_grad_batches: int = 1
    check_val_every_n_epoch: int = 1
    deterministic: bool = False
    shuffle: bool = True
    cache: bool = True
    cache_memory_mb: int = 1024
    cache_disk_mb: int = 8192
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)

    def __post_init__(self) -> None:
        self._training: TrainingConfig | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "callbacks" and value is None:
            value = CallbacksConfig()
        super().__setattr__(name, value)

    def training(self) -> TrainingConfig | None:
        """The configuration that this is the ``trainer`` of; None where it is none's."""
        return self._training


@dataclass
class TrainingConfig(StrictConfig):
    """Everything that ``GradientTrainer`` takes but for the graph and the data.

    ``trainer_config=config`` and ``trainer_config=config.trainer`` are the same: what is not passed
    to the trainer by itself, such as ``scheduler``, is taken from here.
    """

    seed: int = 0
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "trainer" and isinstance(value, TrainerConfig):
            value._training = self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Parse nested mappings strictly.

        Raises:
            ConfigError: A name or a type is wrong; ``Problems`` where it is several things.
        """
        config, problems = parse(cls, values, "training")
        raise_all(problems)
        return config  # type: ignore[return-value]  # None only where there is a problem


@dataclass
class PipelineMetadata(StrictConfig):
    """What a saved pipeline says about itself."""

    name: str
    description: str = ""
    tags: list[str] = field(default_factory=list)
    author: str = ""
