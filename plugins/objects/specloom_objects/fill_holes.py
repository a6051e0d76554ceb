"""Holes in objects are filled."""

from typing import Any

import numpy as np

from specloom import Batch, ConfigError, Input, Output, Ported, StripPasses, node
from specloom_objects.regions import Connectivity, Regions, check_connectivity
from specloom_objects.strips import counted, run_images


class _Passes:
    """The background of one image, strip by strip."""

    def __init__(self, largest: int | None, connectivity: Connectivity) -> None:
        self._largest = largest
        # Where objects hold together at corners, their background does not, and the reverse.
        self._regions = Regions(4 if connectivity == 8 else 8)
        self._border: list[Any] = []
        self._last_row: Any = None
        self._holes = np.zeros(1, bool)

    def scan(self, decisions: Any, valid: Any = None) -> None:
        """Take in a strip."""
        labels = self._regions.scan(~counted(decisions, valid))
        if self._last_row is None:
            self._border.append(labels[0])
        self._border += [labels[:, 0], labels[:, -1]]
        self._last_row = labels[-1]

    def join(self) -> None:
        """Choose the regions of the background that are holes."""
        self._regions.join()
        border = np.unique(np.concatenate([*self._border, self._last_row]))
        self._holes = ~self._regions.any_by_region(border)
        if self._largest is not None:
            self._holes &= self._regions.areas <= self._largest
        self._holes[0] = False

    def apply(self, decisions: Any, valid: Any = None) -> Batch:
        """The decisions of a strip, with holes filled."""
        mask = counted(decisions, valid)
        holes = self._holes[self._regions.apply(~mask)]
        filled = (mask | holes)[None, ..., None]
        if valid is not None:
            filled = filled & valid
        return {"cleaned": filled}


@node
class FillHoles(Ported):
    """Fills the holes of objects in decisions (B, H, W, 1).

    A hole is a connected region without decisions that does not touch the border of the image.
    Pixels that are not valid are False, also in a hole: they could not be decided.

    Args:
        largest: The largest hole that is filled, in pixels; None for any.
        connectivity: That of the objects: 8 where pixels that touch at a corner belong together,
            4 where only those that touch at a side do. Holes have the other one, so that an
            object which holds together at a corner also encloses there.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    cleaned = Output("B H W 1", dtype="bool", doc="True on objects and in their holes.")
    locality = "image"
    array_library = "numpy"

    largest: int | None = None
    connectivity: Connectivity = 8

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        check_connectivity(self.connectivity)
        if self.largest is not None and self.largest < 1:
            raise ConfigError(
                f"largest is {self.largest}", fix="set at least 1 pixel, or null for any hole"
            )

    def strip_passes(self) -> StripPasses:
        """The work on one image, strip by strip."""
        return _Passes(self.largest, self.connectivity)

    def forward(self, decisions: Any, valid: Any = None) -> Batch:
        """Fill the holes of each image."""
        return run_images(self, decisions=decisions, valid=valid)
