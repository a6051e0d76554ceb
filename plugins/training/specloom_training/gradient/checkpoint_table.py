"""Which checkpoints are the best so far, and the names of their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom_training.gradient.early_stopping import better
from specloom_training.gradient.monitors import value_of

if TYPE_CHECKING:
    from specloom_training.config import ModelCheckpointConfig

FIELD = re.compile(r"\{([^{}:]+)(:[^{}]*)?\}")


@dataclass
class CheckpointTable:
    """The table of the best checkpoints: ``[value, epoch, file]``, the best first."""

    config: ModelCheckpointConfig
    entries: list[list[Any]] = field(default_factory=list)

    def offer(self, epoch: int, values: Mapping[str, float]) -> tuple[str, list[str], bool]:
        """Take in an epoch.

        Returns:
            The name of the file to be written ("" for none), those to be removed, and whether
            this epoch is the best so far.
        """
        value = self._value(epoch, values)
        if value is None or (epoch + 1) % self.config.every_n_epochs != 0:
            return "", [], False
        name = self._unused_name(filename(self.config.filename, epoch, values))
        entry = [value, epoch, name]
        dropped = self._insert(entry)
        best = self.entries[0] is entry
        if self.config.save_top_k == 0:
            return "", [], best
        outdated = [one[2] for one in dropped if one is not entry]
        if entry in self.entries:
            return name, outdated, best
        return "", outdated, best

    def _value(self, epoch: int, values: Mapping[str, float]) -> float | None:
        if self.config.monitor is None:
            return float(epoch)  # the latest is the best
        return value_of(self.config.monitor, values)

    def _unused_name(self, name: str) -> str:
        used = {entry[2] for entry in self.entries}
        candidate = name
        version = 0
        while candidate in used:
            version += 1
            candidate = f"{name}-v{version}"
        return candidate

    def _insert(self, entry: list[Any]) -> list[list[Any]]:
        """Put ``entry`` in its place; the entries for which there is no room any more."""
        self.entries.insert(self._place(entry[0]), entry)
        if self.config.save_top_k < 0:
            return []
        room = max(self.config.save_top_k, 1)  # the best is known even if no file is written
        dropped = self.entries[room:]
        self.entries = self.entries[:room]
        return dropped

    def _place(self, value: float) -> int:
        """The first place whose value is worse; of equal values the earlier one stays ahead."""
        mode = "max" if self.config.monitor is None else self.config.mode
        for place, other in enumerate(self.entries):
            if better(value, other[0], mode):
                return place
        return len(self.entries)


def filename(pattern: str, epoch: int, values: Mapping[str, float]) -> str:
    """The name of a checkpoint, without its suffix.

    >>> filename("{epoch:02d}-{metrics/iou:.2f}", 3, {"val/metrics/iou": 0.8125})
    'epoch=03-metrics_iou=0.81'
    """

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        value = epoch if name == "epoch" else value_of(name, values)
        text = "nan" if value is None else format(value, number_format(match))
        return f"{name.replace('/', '_')}={text}"

    return FIELD.sub(replace, pattern)


def number_format(match: re.Match[str]) -> str:
    """The format within a field of a file name: ``02d`` of ``{epoch:02d}``."""
    return (match[2] or "").removeprefix(":")
