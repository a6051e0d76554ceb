"""Early stopping: how long a monitored value has not improved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from specloom_training.gradient.monitors import value_of

if TYPE_CHECKING:
    from specloom_training.config import EarlyStoppingConfig


def better(value: float, than: float, mode: str, by: float = 0.0) -> bool:
    """Whether ``value`` improves on ``than`` by more than ``by``; NaN never does."""
    if math.isnan(value):
        return False
    if math.isnan(than):
        return True
    if mode == "min":
        return value < than - by
    return value > than + by


@dataclass
class EarlyStopping:
    """Counts the checks without improvement of one monitored value."""

    config: EarlyStoppingConfig
    best: float = math.nan
    waited: int = 0

    def should_stop(self, values: Mapping[str, float]) -> bool:
        """Take in what an epoch recorded; whether training should end."""
        value = value_of(self.config.monitor, values)
        if value is None:
            return False
        if better(value, self.best, self.config.mode, self.config.min_delta):
            self.best = value
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.config.patience
