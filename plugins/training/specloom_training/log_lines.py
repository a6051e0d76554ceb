"""What a training from Python does, as lines of the logger ``specloom.training``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specloom import impl

if TYPE_CHECKING:
    from specloom import Run

LOGGER = logging.getLogger("specloom.training")
RATE = "learning_rate"


class LogLines:
    """An observer for runs without others, which those from Python are.

    ``logging.basicConfig(level=logging.INFO)`` shows the lines; without it, as with any library,
    nothing is shown.

    Args:
        monitored: The metrics whose values stand in the line of an epoch, with the losses.
    """

    def __init__(self, monitored: Iterable[str] = ()) -> None:
        self._monitored = list(monitored)
        self._rate: float | None = None

    @impl
    def node_fitted(self, node: str, summary: str) -> None:
        """Log what a node was fitted to."""
        LOGGER.info("fitted %s: %s", node, summary)

    @impl
    def epoch_ended(self, run: Run, epoch: int, max_epochs: int) -> None:
        """Log the losses, the learning rate and what is monitored, and where the rate falls."""
        train = run.metrics.get("train", {})
        rate = train.get(RATE)
        if rate is not None and self._rate is not None and rate < self._rate:
            LOGGER.info("reducing the learning rate to %.4g", rate)
        self._rate = rate
        values = {**self._losses(train), **self._monitored_values(run)}
        if rate is not None:
            values["lr"] = rate
        text = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
        LOGGER.info("epoch %d of %d: %s", epoch, max_epochs, text)

    @impl
    def checkpoint_saved(self, path: Path) -> None:
        """Log the file."""
        LOGGER.info("saved checkpoint: %s", path)

    def _losses(self, train: Mapping[str, float]) -> dict[str, float]:
        """The losses of the last epoch, named as the tutorials name them: ``train/bce``."""
        found = {}
        for name, value in train.items():
            node, _, quantity = name.partition("/")
            if quantity == "loss":
                found[f"train/{node}"] = value
        return found

    def _monitored_values(self, run: Run) -> dict[str, float]:
        """What is monitored on the validation split, where it was measured."""
        found = {}
        for name in self._monitored:
            plain = name.removeprefix("val/")
            value = run.metrics.get("val", {}).get(plain)
            if value is not None:
                found[plain] = value
        return found
