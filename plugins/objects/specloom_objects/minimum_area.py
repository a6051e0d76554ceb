"""Small objects are removed."""

from typing import Any, ClassVar

import numpy as np

from specloom import Batch, ConfigError, Input, Output, Ported, StripPasses, node
from specloom_objects.regions import Connectivity, Regions, check_connectivity
from specloom_objects.strips import counted, run_images


class _Passes:
    """The areas of the objects of one image, strip by strip."""

    def __init__(self, pixels: int, connectivity: Connectivity) -> None:
        self._pixels = pixels
        self._regions = Regions(connectivity)
        self._stays = np.zeros(1, bool)

    def scan(self, decisions: Any, valid: Any = None) -> None:
        """Take in a strip."""
        self._regions.scan(counted(decisions, valid))

    def join(self) -> None:
        """Choose the objects that are large enough."""
        self._regions.join()
        self._stays = self._regions.areas >= self._pixels
        self._stays[0] = False

    def apply(self, decisions: Any, valid: Any = None) -> Batch:
        """The decisions of a strip that are on large objects."""
        regions = self._regions.apply(counted(decisions, valid))
        return {"cleaned": self._stays[regions][None, ..., None]}


@node
class MinimumArea(Ported):
    """Removes objects of fewer pixels than a minimum from decisions (B, H, W, 1).

    An object is a connected region of decided pixels. Pixels that are not valid belong to none,
    and are False.

    Args:
        pixels: The smallest object that stays.
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    cleaned = Output("B H W 1", dtype="bool", doc="True on the objects that are large enough.")
    locality = "image"
    array_library = "numpy"
    example: ClassVar = {"pixels": 2}

    pixels: int
    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        check_connectivity(self.connectivity)
        if self.pixels < 1:
            raise ConfigError(f"pixels is {self.pixels}", fix="set an area of at least 1 pixel")

    def strip_passes(self) -> StripPasses:
        """The work on one image, strip by strip."""
        return _Passes(self.pixels, self.connectivity)

    def forward(self, decisions: Any, valid: Any = None) -> Batch:
        """Remove the small objects of each image."""
        return run_images(self, decisions=decisions, valid=valid)
