"""What goes wrong without an error: each is said once, with its cure."""

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

STILL = 1e-7
"""Weights that move less than this, relative to their size, do not move."""
ENOUGH = 5
"""After so many epochs one of them should be better than the first."""
LOW_IOU = 0.5
"""Below this, decisions are of little use."""
SWINGS, SWING = 6, 0.1
"""So many turns of the loss in a row, each of more than this share of it, are an oscillation."""


class Watching:
    """Warns of collapse, of weights and temperatures that stay, of losses that swing.

    Args:
        run: The run.
        settings: What is trained and how.
        free: The nodes that are trained.
    """

    def __init__(self, run: Run, settings: Settings, free: Sequence[str]) -> None:
        self.run, self.settings, self.free = run, settings, list(free)
        nodes = run.graph.nodes
        self._first = {n: [p.detach().clone() for p in nodes[n].parameters()] for n in self.free}
        self._said = set[str]()
        self._losses: list[float] = []
        self._epochs = 0
        self._paced: dict[str, set[float]] = {}

    def say(self, about: str, text: str) -> None:
        """Warn once about each thing."""
        if about not in self._said:
            self._said.add(about)
            warnings.warn(text, stacklevel=2)

    def epoch_ended(
        self, epoch: int, values: Mapping[str, float], parameters: Sequence[nn.Parameter]
    ) -> None:
        """Look at what an epoch recorded."""
        self._epochs += 1
        for name, node in self.run.graph.nodes.items():
            if hasattr(node, "diagnose") and (text := node.diagnose()):
                self.say(f"collapse {name}", text)
            if hasattr(node, "schedule_values"):
                for key, value in node.schedule_values().items():
                    self._paced.setdefault(f"{name}/{key}", set()).add(float(value))
        self._unmoved(epoch)
        self._swinging(values)

    def _unmoved(self, epoch: int) -> None:
        for name in self.free:
            pairs = zip(self.run.graph.nodes[name].parameters(), self._first[name], strict=True)
            if not any(_moved(now.detach(), then) for now, then in pairs):
                text = f"the weights of {name!r} did not move in {epoch + 1} epochs"
                cure = "raise the optimizer's lr, and check that a loss depends on them"
                self.say(f"unmoved {name}", f"{text}: {cure}")

    def _swinging(self, values: Mapping[str, float]) -> None:
        self._losses = [*self._losses, values.get(TOTAL, 0.0)][-SWINGS - 2 :]
        if len(self._losses) < SWINGS + 2:
            return
        steps = [b - a for a, b in zip(self._losses, self._losses[1:], strict=False)]
        turns = all(a * b < 0 for a, b in itertools.pairwise(steps))
        size = max(map(abs, self._losses)) or 1.0
        if turns and min(map(abs, steps)) > SWING * size:
            cure = "lower the optimizer's lr, or let temperatures fall more slowly"
            self.say("swinging", f"the loss swings up and down from epoch to epoch: {cure}")

    def ended(self, epochs: int, validates: bool, best: int, values: Mapping[str, float]) -> None:
        """Look back on the whole training, of which ``values`` are what the best epoch recorded."""
        for name, seen in self._paced.items():
            if epochs == self._epochs > 1 and len(seen) == 1:  # none was run before a resume
                text = f"{name} was {next(iter(seen)):.4g} in every epoch"
                cure = "let it decay, or leave on_epoch to the trainer"
                self.say(f"paced {name}", f"{text}: {cure}")
        kept = self.settings.checkpoint
        if kept and kept.monitor and best == 0 and epochs >= ENOUGH:
            text = f"no epoch was better than the first by {kept.monitor}"
            cure = "train for longer, lower the weights of regularisers, or let temperatures fall"
            self.say("no better", f"{text}: {cure} more slowly")
        overlaps = [v for k, v in values.items() if k.startswith("val/") and k.endswith("/iou")]
        if epochs >= ENOUGH and overlaps and max(overlaps) < LOW_IOU:
            text = f"the validation IoU of the best epoch is {max(overlaps):.3f}"
            cure = "check which class ids are normal, calibrate the threshold, or train for longer"
            self.say("low IoU", f"{text}: {cure}")
        every = self.settings.trainer.check_val_every_n_epoch
        if validates and epochs < every:
            text = f"validation never ran in {epochs} epochs"
            self.say("validation", f"{text}: set check_val_every_n_epoch to {epochs} or less")


def _moved(now: torch.Tensor, then: torch.Tensor) -> bool:
    size = max(float(then.abs().max()), 1e-12) if then.numel() else 1.0
    return bool(now.numel()) and float((now - then).abs().max()) > STILL * size
