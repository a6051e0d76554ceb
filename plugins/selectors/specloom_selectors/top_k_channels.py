"""The channels of the largest weights, alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_selectors.top_k import largest


@node
class TopKChannels(TorchNode):
    """Passes on the k channels of the largest weights and no other, in the order of the channels.

    What is fitted behind it sees those channels alone. Gradients reach the data, not the weights:
    train a selector through another branch, and evaluate it through this one.

    Args:
        k: The number of channels; all where there are fewer.

    Raises:
        ConfigError: ``k`` is below 1.
    """

    data = Input("B H W C", doc="Pixels.")
    weights = Input("C", doc="Weights of the channels, such as those of a selector.")
    selected = Output("B H W K", doc="The channels of the largest weights.")
    indices = Output("K", dtype="int64", doc="Which channels those are, ascending.")
    locality = "pixel"
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

    def forward(self, data: Tensor, weights: Tensor) -> Batch:
        """The channels (B, H, W, K) of (B, H, W, C) ``data``, and their numbers (K,)."""
        indices: Tensor = torch.sort(largest(weights.detach(), self.k)).values
        return {"selected": data.index_select(-1, indices), "indices": indices}
