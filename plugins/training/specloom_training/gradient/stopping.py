"""Early stopping and the checkpoints that are kept: what they remember from epoch to epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom_training.gradient.monitors import value_of

if TYPE_CHECKING:
    from specloom_training.config import EarlyStoppingConfig, ModelCheckpointConfig

FIELD = re.compile(r"\{([^{}:]+)(:[^{}]*)?\}")


def better(value: float, than: float, mode: str, by: float = 0.0) -> bool:
    """Whether ``value`` improves on ``than`` by more than ``by``; NaN never does."""
    if math.isnan(value):
        return False
    if math.isnan(than):
        return True
    return value < than - by if mode == "min" else value > than + by


@dataclass
class Stopper:
    """Counts the checks without improvement of one monitored value."""

    config: EarlyStoppingConfig
    best: float = math.nan
    waited: int = 0

    def stops(self, values: Mapping[str, float]) -> bool:
        """Take in what an epoch recorded; whether training should end."""
        if (value := value_of(self.config.monitor, values)) is None:
            return False
        if better(value, self.best, self.config.mode, self.config.min_delta):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.config.patience


@dataclass
class Kept:
    """The table of the best checkpoints: ``[value, epoch, file]``, the best first."""

    config: ModelCheckpointConfig
    table: list[list[Any]] = field(default_factory=list)

    def offer(self, epoch: int, values: Mapping[str, float]) -> tuple[str, list[str], bool]:
        """Take in an epoch.

        Returns:
            The name of the file to be written ("" for none), those to be removed, and whether
            this epoch is the best so far.
        """
        value = self._value(epoch, values)
        if value is None or (epoch + 1) % self.config.every_n_epochs:
            return "", [], False
        name = self._free(filename(self.config.filename, epoch, values))
        entry, mode = [value, epoch, name], self.config.mode if self.config.monitor else "max"
        place = next(
            (i for i, other in enumerate(self.table) if better(value, other[0], mode)),
            len(self.table),
        )
        self.table.insert(place, entry)
        room = max(self.config.save_top_k, 1) if self.config.save_top_k >= 0 else len(self.table)
        self.table, dropped = self.table[:room], self.table[room:]
        best = self.table[0] is entry
        if self.config.save_top_k == 0:
            return "", [], best
        gone = [one[2] for one in dropped if one is not entry]
        return name if entry in self.table else "", gone, best

    def _value(self, epoch: int, values: Mapping[str, float]) -> float | None:
        if self.config.monitor is None:
            return float(epoch)  # the latest
        return value_of(self.config.monitor, values)

    def _free(self, name: str) -> str:
        taken = {one[2] for one in self.table}
        names = (name, *(f"{name}-v{i}" for i in range(1, len(taken) + 2)))
        return next(one for one in names if one not in taken)


def filename(pattern: str, epoch: int, values: Mapping[str, float]) -> str:
    """The name of a checkpoint, without its suffix.

    >>> filename("{epoch:02d}-{metrics/iou:.2f}", 3, {"val/metrics/iou": 0.8125})
    'epoch=03-metrics_iou=0.81'
    """

    def filled(match: re.Match[str]) -> str:
        name, form = match[1], (match[2] or "")[1:]
        value = epoch if name == "epoch" else value_of(name, values)
        text = "nan" if value is None else format(value, form)
        return f"{name.replace('/', '_')}={text}"

    return FIELD.sub(filled, pattern)
