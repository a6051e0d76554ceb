"""The channels of the largest weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode


def largest(weights: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` largest of (C,), descending; ties by index, NaN last."""
    without_nan = torch.where(weights.isnan(), -torch.inf, weights)
    return without_nan.sort(descending=True, stable=True).indices[:count]


@node
class TopKIndices(TorchNode):
    """Returns the indices of the k largest weights, by descending weight, ties by index.

    Args:
        k: The number of channels; all where there are fewer.

    Raises:
        ConfigError: ``k`` is below 1.
    """

    weights = Input("C", doc="Weights of the channels.")
    indices = Output("K", dtype="int64", doc="Channels by descending weight.")
    example: ClassVar[Mapping[str, object]] = {"k": 3}

    k: int

    @classmethod
    def sizes(cls, params: Mapping[str, Any], known: Mapping[str, int]) -> Mapping[str, int]:
        """K is k, or the number of channels where that is smaller."""
        return {"K": min(params["k"], known["C"])}

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameter."""
        if self.k < 1:
            raise ConfigError(f"{self.label}: k is {self.k}", fix="set k to 1 or more")

    def forward(self, weights: Tensor) -> Batch:
        """The indices (K,) of weights (C,)."""
        return {"indices": largest(weights, self.k)}
