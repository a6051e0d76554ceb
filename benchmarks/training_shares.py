"""Where the time of a training loop goes: its shares, by timers around its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

CLOCK = time.process_time
WORK = ("forward", "backward", "optimiser", "data")
"""What a loop is for."""
OTHERS = ("loss", "executor", "refit", "metrics", "logging", "pictures", "record", "seeding")
REST = "rest"
"""What no timer is around: the loop itself."""


class Shares:
    """The seconds of each part, without those of the parts within it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((*WORK, *OTHERS, REST), 0.0)
        self.epochs = 0
        self._parts: list[str] = []
        self._since = 0.0

    def _account(self) -> None:
        now = CLOCK()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The time within belongs to a part, if it is within a loop."""
        if not self._parts and name != REST:
            yield
            return
        self._account()
        self._parts.append(name)
        try:
            yield
        finally:
            self._account()
            self._parts.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time belonging to a part of the loop."""

        def call(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*arguments, **options)

        return call

    def timed_items(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The iterator that the function makes; what its items take is the data's."""

        def items(*arguments: Any) -> Iterator[Any]:
            iterator = iter(function(*arguments))
            end = object()
            while True:
                with self.part("data"):
                    item = next(iterator, end)
                if item is end:
                    return
                yield item

        return items

    def report(self) -> dict[str, Any]:
        """The share of each part, that of the work, and the time of an epoch."""
        total = sum(self.seconds.values())
        shares = {name: round(seconds / total, 4) for name, seconds in self.seconds.items()}
        work = sum(self.seconds[name] for name in WORK)
        validation = self.seconds["metrics"] + self.seconds["refit"]
        return {
            "epochs": self.epochs,
            "epoch_ms": round(1000 * total / self.epochs, 2),
            "shares": shares,
            "work": round(work / total, 4),
            "work_without_validation": round(work / (total - validation), 4),
        }


@contextmanager
def measured_loop() -> Iterator[Shares]:
    """Time the loops of all trainings within."""
    import torch

    from specloom import Run
    from specloom_training.gradient import batches, losses, plain_loop, session

    shares = Shares()
    parts: list[tuple[Any, str, str]] = [
        (plain_loop.PlainLoop, "run", REST),
        (plain_loop.PlainLoop, "_step", "optimiser"),
        (plain_loop.PlainLoop, "_backward", REST),
        (torch.autograd, "backward", "backward"),
        (losses.Losses, "total", "loss"),
        (session.Session, "start_epoch", "seeding"),
        (session.Session, "_report_artifacts", "pictures"),
        (session.Session, "_training_values", "logging"),
        (session.Session, "_validate", "metrics"),
        (session.Session, "refit", "refit"),
        (Run, "log_metrics", "logging"),
    ]
    patches = [
        patch.object(owner, name, shares.timed(part, getattr(owner, name)))
        for owner, name, part in parts
    ]
    end_epoch = session.Session.end_epoch

    def end(self: Any) -> None:
        shares.epochs += 1
        end_epoch(self)

    patches.append(patch.object(session.Session, "end_epoch", shares.timed("record", end)))
    plan_batches = session.Session._plan_batches

    def plan(self: Any, changing: set[str]) -> None:
        plan_batches(self, changing)
        for step in self.plan.steps:
            step.forward = shares.timed("forward", step.forward)
        self.plan = shares.timed("executor", self.plan)

    items = shares.timed_items(batches.TrainingBatches.__iter__)
    patches.append(patch.object(batches.TrainingBatches, "__iter__", items))
    patches.append(patch.object(session.Session, "_plan_batches", plan))
    for one in patches:
        one.start()
    try:
        yield shares
    finally:
        for one in patches:
            one.stop()
