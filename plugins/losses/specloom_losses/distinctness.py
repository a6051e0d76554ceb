"""How alike the rows of a selection are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, node
from specloom_losses.pooled import PooledLoss


def mean_similarity(rows: Tensor) -> Tensor:
    """The mean over all pairs of ``rows`` (K, C) of their cosine similarity, float64.

    A row of zeros is like no other, and has no gradient; of fewer than two rows the mean is 0.
    """
    exact = rows.double()
    # By the largest value first, so that no square under- or overflows.
    largest = exact.detach().abs().amax(1, keepdim=True)
    not_zero = largest > 0
    scaled = exact / torch.where(not_zero, largest, 1)
    squared_length = torch.where(not_zero, scaled.square().sum(1, keepdim=True), 1)
    unit = scaled / squared_length.sqrt()
    # The rows' own products, 1 each, are never added: distinct bands give exactly 0.
    similarities = (unit @ unit.T).triu(1)
    pairs = len(rows) * (len(rows) - 1) / 2
    return similarities.sum() / max(pairs, 1)


@node
class DistinctnessLoss(PooledLoss):
    """Keeps the output channels of a selector from choosing the same band.

    weight * mean over all pairs of rows of their cosine similarity: 0 where the chosen bands are
    distinct, ``weight`` where all rows are alike.

    Args:
        weight: The factor of the loss; may be changed at any time.

    Raises:
        ConfigError: ``weight`` is negative.
    """

    selection_weights = Input("K C", doc="Weights of the bands, a row per output channel.")
    example: ClassVar[Mapping[str, object]] = {}

    weight: float = 0.1

    def forward(self, selection_weights: Tensor) -> Batch:
        """The loss of weights (K, C)."""
        return self.weighted(mean_similarity(selection_weights), 1, selection_weights.dtype)
