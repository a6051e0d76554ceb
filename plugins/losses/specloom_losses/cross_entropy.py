"""Binary cross-entropy of anomaly logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from specloom import Batch, ConfigError, Input, node
from specloom_losses.pooled import PooledLoss, usable_predictions


def cross_entropy(
    logits: Tensor, targets: Tensor, usable: Tensor, pos_weight: float | None
) -> tuple[Tensor, Tensor]:
    """Sum and number of the binary cross-entropies where ``usable``; all of one shape.

    What is not usable may be NaN: it is replaced before, since 0 * NaN would spoil the gradient.
    """
    factor = None
    if pos_weight is not None:
        factor = logits.new_full((), pos_weight)
    by_pixel = binary_cross_entropy_with_logits(
        torch.where(usable, logits, 0),
        targets.to(logits.dtype),
        pos_weight=factor,
        reduction="none",
    )
    total = torch.where(usable, by_pixel, 0).sum(dtype=torch.float64)
    return total, usable.sum()


@node
class AnomalyBCEWithLogits(PooledLoss):
    """Binary cross-entropy between logits and the anomaly mask, averaged over the usable pixels.

    weight * mean(-pos_weight * t * ln s(x) - (1 - t) * ln(1 - s(x))) with s the sigmoid, as
    ``torch.nn.BCEWithLogitsLoss``: the mean is over pixels also with ``pos_weight``. Pixels that
    are not valid, NaN or infinite are excluded; without any pixel the loss is 0.

    Args:
        weight: The factor of the loss; may be changed at any time.
        pos_weight: The factor of anomalous pixels, against class imbalance; None for 1.

    Raises:
        ConfigError: ``weight`` is negative, or ``pos_weight`` is not above 0.
    """

    predictions = Input("B H W 1", doc="Logits of being anomalous.")
    targets = Input("B H W 1", dtype="bool", doc="Where the anomalies are.")
    valid = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label, that count.",
    )
    locality = "batch"
    example: ClassVar[Mapping[str, object]] = {"weight": 10.0}

    weight: float = 1.0
    pos_weight: float | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        value = self.pos_weight
        if value is not None and not (math.isfinite(value) and value > 0):
            fix = "set a pos_weight above 0, or remove it"
            raise ConfigError(f"{self.label}: pos_weight is {value}", fix=fix)

    def forward(self, predictions: Tensor, targets: Tensor, valid: Tensor | None = None) -> Batch:
        """The loss of (B, H, W, 1) logits against a mask of the same shape."""
        usable = usable_predictions(predictions, valid)
        total, count = cross_entropy(predictions, targets, usable, self.pos_weight)
        return self.weighted(total, count, predictions.dtype)
