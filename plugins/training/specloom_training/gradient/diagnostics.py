"""What goes wrong without an error: a warning for each, once, with what to do about it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from specloom_training.gradient.monitors import TOTAL

if TYPE_CHECKING:
    import torch
    from torch import nn

    from specloom import Run
    from specloom_training.gradient.settings import Settings

SMALLEST_MOVE = 1e-7
"""Weights that change less than this, relative to their size, do not move."""
ENOUGH_EPOCHS = 5
"""After so many epochs one of them should be better than the first."""
LOW_IOU = 0.5
"""Below this, decisions are of little use."""
OSCILLATION_TURNS = 6
"""So many turns of the loss in a row are an oscillation, if each is large."""
OSCILLATION_SIZE = 0.1
"""A turn is large if it is more than this share of the loss."""


class Diagnostics:
    """Warns of collapse, of weights and temperatures that stay, of losses that oscillate.

    Args:
        run: The run.
        settings: What is trained and how.
        free: The nodes that are trained.
    """

    def __init__(self, run: Run, settings: Settings, free: Sequence[str]) -> None:
        self.run = run
        self.settings = settings
        self.free = list(free)
        nodes = run.graph.nodes
        self._initial = {name: _copies(nodes[name].parameters()) for name in self.free}
        self._warned: set[str] = set()
        self._losses: list[float] = []
        self._epochs = 0
        self._annealed: dict[str, set[float]] = {}

    def warn(self, about: str, text: str) -> None:
        """Warn once about each thing."""
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(text, stacklevel=2)

    def epoch_ended(
        self, epoch: int, values: Mapping[str, float], parameters: Sequence[nn.Parameter]
    ) -> None:
        """Look at what an epoch recorded."""
        self._epochs += 1
        self._look_at_nodes()
        self._look_at_weights(epoch)
        self._look_at_loss(values.get(TOTAL, 0.0))

    def _look_at_nodes(self) -> None:
        for name, node in self.run.graph.nodes.items():
            if hasattr(node, "diagnose"):
                text = node.diagnose()
                if text:
                    self.warn(f"collapse {name}", text)
            if hasattr(node, "schedule_values"):
                for key, value in node.schedule_values().items():
                    self._annealed.setdefault(f"{name}/{key}", set()).add(float(value))

    def _look_at_weights(self, epoch: int) -> None:
        for name in self.free:
            parameters = self.run.graph.nodes[name].parameters()
            pairs = zip(parameters, self._initial[name], strict=True)
            if not any(_moved(now.detach(), initial) for now, initial in pairs):
                self.warn(
                    f"unmoved {name}",
                    f"the weights of {name!r} did not move in {epoch + 1} epochs: raise the "
                    "optimizer's lr, and check that a loss depends on them",
                )

    def _look_at_loss(self, loss: float) -> None:
        self._losses.append(loss)
        self._losses = self._losses[-(OSCILLATION_TURNS + 2) :]
        if _oscillates(self._losses):
            self.warn(
                "oscillation",
                "the loss swings up and down from epoch to epoch: lower the optimizer's lr, or "
                "let temperatures fall more slowly",
            )

    def training_ended(
        self, epochs: int, validates: bool, best: int, values: Mapping[str, float]
    ) -> None:
        """Look back on the whole training, of which ``values`` are what the best epoch recorded."""
        self._look_at_temperatures(epochs)
        checkpoint = self.settings.checkpoint
        if checkpoint and checkpoint.monitor and best == 0 and epochs >= ENOUGH_EPOCHS:
            self.warn(
                "no better",
                f"no epoch was better than the first by {checkpoint.monitor}: train for longer, "
                "lower the weights of regularisers, or let temperatures fall more slowly",
            )
        if epochs >= ENOUGH_EPOCHS:
            self._look_at_iou(values)
        if validates and epochs < self.settings.trainer.check_val_every_n_epoch:
            self.warn(
                "validation",
                f"validation never ran in {epochs} epochs: set check_val_every_n_epoch to "
                f"{epochs} or less",
            )

    def _look_at_temperatures(self, epochs: int) -> None:
        if self._epochs < 2 or epochs != self._epochs:
            return  # some epochs ran before the training was resumed
        for name, values in self._annealed.items():
            if len(values) == 1:
                (value,) = values
                self.warn(
                    f"constant {name}",
                    f"{name} was {value:.4g} in every epoch: let it decay, or leave on_epoch to "
                    "the trainer",
                )

    def _look_at_iou(self, values: Mapping[str, float]) -> None:
        overlaps = [
            value
            for name, value in values.items()
            if name.startswith("val/") and name.endswith("/iou")
        ]
        if overlaps and max(overlaps) < LOW_IOU:
            self.warn(
                "low IoU",
                f"the validation IoU of the best epoch is {max(overlaps):.3f}: check which class "
                "ids are normal, calibrate the threshold, or train for longer",
            )


def _copies(parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _oscillates(losses: Sequence[float]) -> bool:
    """Whether the last losses go up and down in turns, each of a large share of the loss."""
    if len(losses) < OSCILLATION_TURNS + 2:
        return False
    steps = [after - before for before, after in itertools.pairwise(losses)]
    if not all(step * following < 0 for step, following in itertools.pairwise(steps)):
        return False
    size = max(map(abs, losses)) or 1.0
    return min(map(abs, steps)) > OSCILLATION_SIZE * size


def _moved(now: torch.Tensor, initial: torch.Tensor) -> bool:
    if now.numel() == 0:
        return False
    size = max(float(initial.abs().max()), 1e-12)
    return float((now - initial).abs().max()) > SMALLEST_MOVE * size
