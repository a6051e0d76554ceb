"""What all losses share: a weight, and the sum and count behind the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Internal, NodeError, Output, Port, node
from specloom.torch import TorchNode

LOSS: Mapping[str, Port] = {"loss": Port("", doc="weight * sum / count, and 0 where count is 0.")}


@node
class PooledLoss(TorchNode):
    """A loss that is weight * sum / count.

    ``weight`` may be changed at any time. A loss makes its sum and count in ``forward`` and
    returns ``self.weighted(sum, count, dtype)``.
    """

    loss = Output(LOSS["loss"])
    stages = ("train", "val", "test")

    weight: float
    _sums = Internal[tuple[Tensor, Tensor] | None](None)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the weight."""
        if not (math.isfinite(self.weight) and self.weight >= 0):
            fix = "set a weight of 0 or more"
            raise ConfigError(f"{self.label}: weight is {self.weight}", fix=fix)

    def weighted(self, total: Tensor, count: Tensor | int, dtype: torch.dtype) -> Batch:
        """The output of ``forward``; (sum, count) are stored for ``pooled``."""
        total = self.weight * total.double()
        counted = torch.as_tensor(count, dtype=torch.float64, device=total.device)
        self._sums = (total, counted)
        loss = total / counted.clamp(min=1)
        return {"loss": loss.to(dtype)}

    def pooled(self) -> tuple[Tensor, Tensor]:
        """(sum, count) of the last batch, the sum weighted: loss = sum / max(count, 1).

        Both are float64 scalars, and gradients flow through the sum. Added over processes or
        batches they give the loss of all the data together.

        Raises:
            NodeError: There was no batch yet.
        """
        if self._sums is None:
            raise NodeError(f"{self.label} has run on no batch", fix="run it before pooled()")
        return self._sums

    def __getstate__(self) -> dict[str, Any]:
        # The sum of the last batch belongs to a graph of gradients, which cannot be copied.
        return {**self.__dict__, "_sums": None}


def usable_predictions(predictions: Tensor, valid: Tensor | None) -> Tensor:
    """Which predictions are finite and valid, bool of the same shape."""
    finite = predictions.isfinite()
    if valid is None:
        return finite
    return finite & valid


def shares(weights: Tensor) -> Tensor:
    """Weights (C,) as shares that sum to 1, float64; weights below 0 count as 0.

    Where no weight is above 0 all shares are equal, without a gradient.
    """
    positive = weights.double().clamp(min=0)
    total = positive.sum()
    not_zero = total > 0
    divisor = torch.where(not_zero, total, 1)
    return torch.where(not_zero, positive / divisor, 1 / len(weights))
