"""Two thresholds: one to find an object, a lower one for its extent."""

import math
from typing import Any, ClassVar

import numpy as np

from specloom import Batch, ConfigError, Input, Output, Ported, StripPasses, node
from specloom_objects.regions import Connectivity, Regions, check_connectivity
from specloom_objects.strips import counted, run_images


class _Passes:
    """The regions above the low threshold of one image, strip by strip."""

    def __init__(self, low: float, high: float, connectivity: Connectivity) -> None:
        self._low = low
        self._high = high
        self._regions = Regions(connectivity)
        self._seeds: list[Any] = []
        self._found = np.zeros(1, bool)

    def scan(self, scores: Any, valid: Any = None) -> None:
        """Take in a strip."""
        weak = counted(scores >= self._low, valid)
        labels = self._regions.scan(weak)
        strong = scores[0, ..., 0] >= self._high
        self._seeds.append(np.unique(labels[weak & strong]))

    def join(self) -> None:
        """Choose the regions that reach the high threshold."""
        self._regions.join()
        self._found = self._regions.any_by_region(np.concatenate(self._seeds))

    def apply(self, scores: Any, valid: Any = None) -> Batch:
        """The decisions of a strip."""
        regions = self._regions.apply(counted(scores >= self._low, valid))
        return {"decisions": self._found[regions][None, ..., None]}


@node
class Hysteresis(Ported):
    """Decides where scores reach ``low``, in regions that somewhere reach ``high``.

    Scores are (B, H, W, 1), thresholds in their unit (Canny, 1986, IEEE Trans. PAMI 8(6):679-698).
    NaN, and pixels that are not valid, are decided False and connect nothing.

    Args:
        low: The least score of a pixel of an object.
        high: The score that one pixel of each object reaches.
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    scores = Input("B H W 1", doc="Scores or logits of an anomaly.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    locality = "image"
    array_library = "numpy"
    example: ClassVar = {"low": 0.5, "high": 0.6}

    low: float
    high: float
    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        check_connectivity(self.connectivity)
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise ConfigError(
                f"low is {self.low} and high is {self.high}", fix="set a low that is at most high"
            )

    def strip_passes(self) -> StripPasses:
        """The work on one image, strip by strip."""
        return _Passes(self.low, self.high, self.connectivity)

    def forward(self, scores: Any, valid: Any = None) -> Batch:
        """Decide in each image."""
        return run_images(self, scores=scores, valid=valid)
