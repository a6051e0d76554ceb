"""The optimiser and the scheduler of a training, and their state without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specloom import ConfigError
from specloom_training.gradient import named
from specloom_training.gradient.packing import packed, plain_state, unpacked

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings


class Optimizing:
    """The optimiser and the scheduler.

    Args:
        settings: What they are and how often they step.
        parameters: What is trained.

    Raises:
        ConfigError: torch refuses the value of a parameter.
    """

    def __init__(self, settings: Settings, parameters: Sequence[nn.Parameter]) -> None:
        options = dict(vars(settings.optimizer))
        self.optimizer = self._made("optimizer", options, named.optimizers(), parameters)
        self.scheduler: Any = None
        self.monitor, self.interval = "", "epoch"
        if settings.scheduler is not None:
            options = dict(vars(settings.scheduler))
            self.monitor = options.pop("monitor", "")
            self.interval = options.pop("interval", "epoch")
            found = named.find(options["name"], named.schedulers())
            takes = named.parameters(found[1]) if found else {}
            for name in {"T_max", "total_steps"} & takes.keys() - options.keys():
                options[name] = settings.trainer.max_epochs
            self.scheduler = self._made("scheduler", options, named.schedulers(), self.optimizer)

    @staticmethod
    def _made(kind: str, options: dict[str, Any], known: Mapping[str, Any], of: Any) -> Any:
        found = named.find(options.pop("name"), known)
        if found is None:
            raise ConfigError(f"there is no such {kind}", fix=f"use one of: {', '.join(known)}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        if found[0] in ("multi_step", "adafactor"):
            values = options
        try:
            return found[1](of, **values)
        except (ValueError, TypeError, RuntimeError) as e:
            raise ConfigError(f"{found[0]}: {e}", fix=f"change the parameters of {kind}") from e

    def rates(self) -> list[float]:
        """The learning rate of each group of parameters."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def stepped(self) -> None:
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
        tensors: dict[str, Tensor] = {}
        scheduler = {} if self.scheduler is None else plain_state(self.scheduler.state_dict())
        both = {"optimizer": self.optimizer.state_dict(), "scheduler": scheduler}
        return tensors, packed(both, "optimizing", tensors)

    def restore(self, tensors: Mapping[str, Tensor], about: Any) -> None:
        """Set both to a saved state."""
        both = unpacked(about, tensors)
        self.optimizer.load_state_dict(both["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(both["scheduler"])


def finite(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether every parameter holds numbers only."""
    return all(bool(torch.isfinite(one.detach()).all()) for one in parameters)
