"""Concentration of a selector's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, Input, node
from specloom_losses.pooled import PooledLoss, shares

if TYPE_CHECKING:
    from torch import Tensor


def concentration(weights: Tensor) -> Tensor:
    """(C sum(p^2) - 1) / (C - 1) of weights (C,), float64: 0 if all are alike, 1 for only one.

    One channel alone has nothing to be unlike: 0.
    """
    size = len(weights)
    # The same sum about the mean: exactly 0, and flat, where all weights are alike.
    deviations = shares(weights) - 1 / size
    return deviations.square().sum() * (size / max(size - 1, 1))


@node
class SelectorDiversityRegularizer(PooledLoss):
    """Keeps a selector's weight from falling onto one channel.

    weight * (C sum(p^2) - 1) / (C - 1), p = w / sum(w): 0 where all weights are alike, ``weight``
    where one channel has it all. The existing system has the sign inverted and so drives the
    weights together. Weights below 0 count as 0.

    Args:
        weight: The factor of the loss; may be changed at any time.

    Raises:
        ConfigError: ``weight`` is negative.
    """

    weights = Input("C", doc="Weights of the channels, 0 or more.")
    example: ClassVar[Mapping[str, object]] = {}

    weight: float = 0.01

    def forward(self, weights: Tensor) -> Batch:
        """The loss of weights (C,)."""
        return self.weighted(concentration(weights), 1, weights.dtype)
