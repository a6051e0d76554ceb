"""The optimiser and the scheduler of a training, and their state without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specloom import ConfigError
from specloom_training.gradient import torch_names
from specloom_training.gradient.eager_optimizers import eager
from specloom_training.gradient.json_state import from_json, to_json, without_functions

if TYPE_CHECKING:
    from specloom_training.config import SchedulerConfig
    from specloom_training.gradient.settings import Settings

# torch expects lists for their parameters, and tuples for all others.
WITH_LISTS = ("multi_step", "adafactor")


class Optimization:
    """The optimiser and the scheduler.

    Args:
        settings: What they are and how often they step.
        parameters: What is trained.

    Raises:
        ConfigError: torch refuses the value of a parameter.
    """

    def __init__(self, settings: Settings, parameters: Sequence[nn.Parameter]) -> None:
        optimizers = {name: eager(cls) for name, cls in torch_names.optimizers().items()}
        self.optimizer = _make("optimizer", dict(vars(settings.optimizer)), optimizers, parameters)
        self.scheduler: Any = None
        self.monitor = ""
        self.interval = "epoch"
        if settings.scheduler is not None:
            self._set_scheduler(settings.scheduler, settings.trainer.max_epochs)

    def _set_scheduler(self, config: SchedulerConfig, epochs: int) -> None:
        schedulers = torch_names.schedulers()
        options = dict(vars(config))
        self.monitor = options.pop("monitor", "")
        self.interval = options.pop("interval", "epoch")
        name = parameter_of_epochs(config)
        if name:
            options[name] = epochs
        self.scheduler = _make("scheduler", options, schedulers, self.optimizer)

    def rates(self) -> list[float]:
        """The learning rate of each group of parameters."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step_ended(self) -> None:
        """Take in that the optimiser made a step."""
        if self.scheduler is not None and self.interval == "step":
            self.scheduler.step()

    def epoch_ended(self, value: float | None) -> None:
        """Take in that an epoch ended, and the monitored value if there is one."""
        if self.scheduler is None or self.interval == "step":
            return
        if not self.monitor:
            self.scheduler.step()
        elif value is not None:
            self.scheduler.step(value)

    def state(self) -> tuple[dict[str, Tensor], Any]:
        """Tensors, and what JSON holds."""
        both = {"optimizer": self.optimizer.state_dict(), "scheduler": {}}
        if self.scheduler is not None:
            both["scheduler"] = without_functions(self.scheduler.state_dict())
        tensors: dict[str, Tensor] = {}
        about = to_json(both, "optimizing", tensors)
        return tensors, about

    def restore(self, tensors: Mapping[str, Tensor], about: Any) -> None:
        """Set both to a saved state."""
        both = from_json(about, tensors)
        self.optimizer.load_state_dict(both["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(both["scheduler"])


def parameter_of_epochs(config: SchedulerConfig | None) -> str:
    """The parameter of a scheduler that is the number of epochs, as none is set; or ``""``."""
    if config is None:
        return ""
    found = torch_names.find(config.name, torch_names.schedulers())
    if found is None:
        return ""
    accepted = torch_names.parameters(found[1])
    for name in ("T_max", "total_steps"):
        if name in accepted and name not in vars(config):
            return name
    return ""


def _make(kind: str, options: dict[str, Any], classes: Mapping[str, Any], target: Any) -> Any:
    """An optimiser of parameters, or a scheduler of an optimiser.

    Args:
        kind: ``optimizer`` or ``scheduler``.
        options: Its name and its parameters.
        classes: The optimisers or schedulers by name.
        target: What it works on.
    """
    found = torch_names.find(options.pop("name"), classes)
    if found is None:
        raise ConfigError(f"there is no such {kind}", fix=f"use one of: {', '.join(classes)}")
    name, cls = found
    if name not in WITH_LISTS:
        options = {key: _as_tuple(value) for key, value in options.items()}
    try:
        return cls(target, **options)
    except (ValueError, TypeError, RuntimeError) as e:
        raise ConfigError(f"{name}: {e}", fix=f"change the parameters of {kind}") from e


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return value


def is_finite(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether every parameter holds numbers only."""
    return all(bool(torch.isfinite(one.detach()).all()) for one in parameters)
