"""Several scores of a pixel become one."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from specloom import Batch, ConfigError, Input, NodeError, Output, Ported, node


def check_weights(weights: Sequence[float] | None) -> None:
    """Raise ConfigError unless weights are finite, not negative, and not all 0."""
    if weights is None:
        return
    wrong = [weight for weight in weights if not math.isfinite(weight) or weight < 0]
    if wrong or not sum(weights):
        raise ConfigError(
            f"weights are {list(weights)}", fix="set weights from 0 on, at least one of them over 0"
        )


def mean(maps: Sequence[NDArray[Any]], weights: Sequence[float] | None) -> NDArray[np.float32]:
    """The weighted mean of maps in float64, as float32.

    Raises:
        NodeError: There is another number of weights than of maps.
    """
    if weights is None:
        weights = [1.0] * len(maps)
    if len(weights) != len(maps):
        raise NodeError(
            f"{len(weights)} weights for {len(maps)} connected inputs",
            fix="write one weight for each connection, in their order",
        )
    total = np.zeros(maps[0].shape, np.float64)
    for values, weight in zip(maps, weights, strict=True):
        total += weight * values.astype(np.float64)
    fused: NDArray[np.float32] = (total / math.fsum(weights)).astype(np.float32)
    return fused


@node
class FuseScores(Ported):
    """Fuses any number of scores (B, H, W, 1) into one by their maximum or weighted mean.

    A pixel of which one score is NaN is NaN: it was not evaluated by all. Maximum and mean compare
    values, so the scores must be of one range, such as logits or what a normaliser makes; for any
    others there is FuseRanks.

    Args:
        method: ``max``, or ``mean`` for the weighted mean.
        weights: One for each connection, in their order, for the mean; None for equal ones.

    Raises:
        ConfigError: A weight is negative or not finite, all are 0, or there are some for ``max``.
        NodeError: There is another number of weights than of connections.
    """

    scores = Input("B H W 1", many=True, doc="Scores or logits of an anomaly.")
    fused = Output("B H W 1", doc="One score for each pixel.")
    locality = "pixel"
    array_library = "numpy"
    example: ClassVar = {"method": "mean", "weights": [1.0, 2.0]}

    method: Literal["max", "mean"] = "max"
    weights: list[float] | None = None

    def build(self, sizes: Any) -> None:
        """Check the weights."""
        check_weights(self.weights)
        if self.method == "max" and self.weights is not None:
            raise ConfigError("weights are set for the method 'max'", fix="set method: mean")

    def forward(self, scores: Any) -> Batch:
        """Fuse the scores of each pixel."""
        if self.method == "max":
            return {"fused": np.maximum.reduce(scores)}
        return {"fused": mean(scores, self.weights)}
