"""Numbers of the objects."""

from typing import Any

import numpy as np

from specloom import Batch, Input, Output, Ported, StripPasses, node
from specloom_objects.regions import Connectivity, Regions, check_connectivity
from specloom_objects.strips import counted, run_images


class _Passes:
    """The regions of one image, strip by strip."""

    def __init__(self, connectivity: Connectivity) -> None:
        self._regions = Regions(connectivity)

    def scan(self, decisions: Any, valid: Any = None) -> None:
        """Take in a strip."""
        self._regions.scan(counted(decisions, valid))

    def join(self) -> None:
        """Number the regions."""
        self._regions.join()

    def apply(self, decisions: Any, valid: Any = None) -> Batch:
        """The numbers of a strip's pixels."""
        labels = self._regions.apply(counted(decisions, valid))
        return {"labels": labels.astype(np.int32)[None, ..., None]}


@node
class Label(Ported):
    """Numbers the objects of each image from 1 on, in the order of their first pixels.

    An object is a connected region of decided pixels (B, H, W, 1). Pixels that are not valid
    belong to none.

    Args:
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.

    Raises:
        ConfigError: The connectivity is neither.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    labels = Output("B H W 1", dtype="int32", doc="The number of the pixel's object, else 0.")
    locality = "image"
    array_library = "numpy"

    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the connectivity."""
        check_connectivity(self.connectivity)

    def strip_passes(self) -> StripPasses:
        """The work on one image, strip by strip."""
        return _Passes(self.connectivity)

    def forward(self, decisions: Any, valid: Any = None) -> Batch:
        """Number the objects of each image."""
        return run_images(self, decisions=decisions, valid=valid)
