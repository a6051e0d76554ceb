"""The loop over batches in one process and full precision, without Lightning's four seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from specloom_training.gradient.session import Session


class NumberedBatch(NamedTuple):
    """A batch, its number in the epoch, and whether it is the last one."""

    number: int
    values: Mapping[str, Any]
    is_last: bool


class PlainLoop:
    """Trains a session as Lightning does, bit for bit.

    Args:
        session: The training.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._optimizer = session.optimization.optimizer
        self._accumulated = session.settings.trainer.accumulate_grad_batches

    def run(self) -> None:
        """Train to the last epoch, or until the session stops."""
        session = self._session
        with torch.enable_grad():
            while session.epoch < session.epochs and not session.stopped:
                session.start_epoch()
                for batch in numbered(session.batches):
                    self._train_on(batch)
                session.end_epoch()

    def _train_on(self, batch: NumberedBatch) -> None:
        """Add the gradients of a batch; with the last one of a step, make the step."""
        is_step = (batch.number + 1) % self._accumulated == 0
        if is_step or batch.is_last:
            self._step(batch)
        else:
            self._backward(batch)

    def _step(self, batch: NumberedBatch) -> None:
        def closure() -> Tensor:
            loss = self._backward(batch)
            self._clip()
            return loss

        # Some optimisers, such as LBFGS, compute a loss several times in one step.
        self._optimizer.step(closure)
        self._session.optimization.step_ended()

    def _backward(self, batch: NumberedBatch) -> Tensor:
        """The loss of a batch, after its gradients were added to the parameters."""
        loss = self._session.loss(batch.values, batch.number) / self._accumulated
        if batch.number % self._accumulated == 0:
            self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        return loss.detach()

    def _clip(self) -> None:
        """Limit the gradients."""
        config = self._session.settings.trainer
        limit = config.gradient_clip_val
        if limit is None:
            return
        parameters = self._session.parameters
        if config.gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(parameters, limit)
        else:
            nn.utils.clip_grad_norm_(parameters, limit)


def numbered(batches: Iterable[Mapping[str, Any]]) -> Iterator[NumberedBatch]:
    """The batches of an epoch, each when the next one is there or there is none.

    >>> [(one.number, one.is_last) for one in numbered([{}, {}])]
    [(0, False), (1, True)]
    """
    iterator = iter(batches)
    end: Mapping[str, Any] = {}
    current = next(iterator, end)
    number = 0
    while current is not end:
        following = next(iterator, end)
        yield NumberedBatch(number, current, following is end)
        current = following
        number += 1
