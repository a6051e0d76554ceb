"""Several scores of a pixel become one, by their ranks within the image."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from specloom import Batch, Input, Output, Ported, node
from specloom_objects.fuse_scores import check_weights, mean


def rank(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The rank of each score of an image, divided by their number: over 0, at most 1.

    Equal scores have the mean of their ranks. NaN has no rank.
    """
    ranks = np.full(scores.shape, np.nan)
    numbers = ~np.isnan(scores)
    if numbers.any():
        ranks[numbers] = stats.rankdata(scores[numbers]) / numbers.sum()
    return ranks


@node
class FuseRanks(Ported):
    """Fuses any number of scores (B, H, W, 1) into one by the weighted mean of their ranks.

    The rank is the share of the image's pixels that score at most as high; equal scores have the
    mean of their ranks. It depends on no range or unit, so any detectors can be fused. A pixel of
    which one score is NaN is NaN.

    Args:
        weights: One for each connection, in their order; None for equal ones.

    Raises:
        ConfigError: A weight is negative or not finite, or all are 0.
        NodeError: There is another number of weights than of connections.
    """

    scores = Input("B H W 1", many=True, doc="Scores or logits of an anomaly, of any range.")
    fused = Output("B H W 1", doc="The mean rank, over 0 and at most 1.")
    locality = "image"
    array_library = "numpy"
    example: ClassVar = {"weights": [1.0, 2.0]}

    weights: list[float] | None = None

    def build(self, sizes: Any) -> None:
        """Check the weights."""
        check_weights(self.weights)

    def forward(self, scores: Any) -> Batch:
        """Fuse the ranks of each pixel within its image."""
        ranked = [np.stack([rank(image) for image in images]) for images in scores]
        return {"fused": mean(ranked, self.weights)}
