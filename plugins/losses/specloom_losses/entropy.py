"""Entropy of a selector's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, ConfigError, Input, node
from specloom_losses.pooled import PooledLoss, shares

if TYPE_CHECKING:
    from torch import Tensor


def entropy(weights: Tensor, eps: float) -> Tensor:
    """Entropy in nats of p = (w / sum(w) + eps) / (1 + C eps), for weights (C,), float64."""
    p = (shares(weights) + eps) / (1 + len(weights) * eps)
    return -(p * p.log()).sum()


@node
class SelectorEntropyRegularizer(PooledLoss):
    """Keeps the entropy of a selector's weights near a target: weight * (H(p) - target)^2.

    H is in nats, of p = (w / sum(w) + eps) / (1 + C eps), so that value and gradient are finite
    also where all weight is on one channel. Weights below 0 count as 0.

    Args:
        weight: The factor of the loss; may be changed at any time.
        target_entropy: In nats, from 0 (one channel) to ln C (all alike); None for ln C.
        eps: Added to each share.

    Raises:
        ConfigError: ``weight`` is negative, ``eps`` is not above 0, or no weights of that many
            channels have the ``target_entropy``.
    """

    weights = Input("C", doc="Weights of the channels, 0 or more.")
    example: ClassVar[Mapping[str, object]] = {}

    weight: float = 0.01
    target_entropy: float | None = None
    eps: float = 1e-6

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ConfigError(f"{self.label}: eps is {self.eps}", fix="set an eps above 0")
        target = self.target_entropy
        most = math.log(sizes["C"])
        if target is not None and not 0 <= target <= most + 1e-3:
            raise ConfigError(
                f"{self.label}: target_entropy is {target}",
                fix=f"set 0 to ln {sizes['C']} = {most:.4g} nats, or remove it for the most",
            )

    def forward(self, weights: Tensor) -> Batch:
        """The loss of weights (C,)."""
        target = self.target_entropy
        if target is None:
            target = math.log(len(weights))
        deviation = entropy(weights, self.eps) - target
        return self.weighted(deviation**2, 1, weights.dtype)
