"""The base class of nodes that clean decisions by a neighbourhood of each pixel."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np

from specloom import Batch, Input, Output, Ported, node
from specloom_objects.footprints import Mask, Shape, check_radius, footprint

Step: TypeAlias = Callable[[Mask, Mask, Mask], Mask]
"""Decisions, the pixels that count and the neighbourhood, to new decisions."""


@node
class NeighbourhoodNode(Ported):
    """Makes decisions (B, H, W, 1) from those in a neighbourhood of each pixel.

    Pixels outside the image and those that are not valid count neither as decided nor as not
    decided, and those that are not valid are decided False.

    Args:
        radius: The radius of the neighbourhood, in pixels.
        shape: The neighbourhood: ``disk``, ``diamond`` or ``square``.

    Raises:
        ConfigError: The radius is less than 1.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    valid = Input("B H W 1", dtype="bool", optional=True, labelled=False, doc="Pixels that count.")
    cleaned = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    locality = "halo"
    array_library = "numpy"

    radius: int = 1
    shape: Shape = "disk"

    @property
    def halo(self) -> int:
        """The pixels around an output pixel that it depends on."""
        return self.radius

    def build(self, sizes: Any) -> None:
        """Check the radius."""
        check_radius(self.radius)

    @abstractmethod
    def clean(self, mask: Mask, counts: Mask, around: Mask) -> Mask:
        """The decisions of one image (H, W).

        Args:
            mask: The decisions before, bool (H, W).
            counts: The pixels that count, bool (H, W).
            around: The neighbourhood, bool (2 * radius + 1, 2 * radius + 1).
        """

    def forward(self, decisions: Any, valid: Any = None) -> Batch:
        """Clean the decisions of each image."""
        if valid is None:
            valid = np.ones_like(decisions)
        around = footprint(self.shape, self.radius)
        cleaned = np.empty_like(decisions)
        for image, mask in enumerate(decisions[..., 0]):
            cleaned[image, ..., 0] = self.clean(mask, valid[image, ..., 0], around)
        return {"cleaned": cleaned}


@node
class TwoNeighbourhoods(NeighbourhoodNode):
    """Cleans decisions (B, H, W, 1) by the neighbourhoods of what neighbourhoods gave.

    Args:
        radius: The radius of the neighbourhood, in pixels.
        shape: The neighbourhood: ``disk``, ``diamond`` or ``square``.

    Raises:
        ConfigError: The radius is less than 1.
    """

    steps: ClassVar[tuple[Step, Step]]
    """What is done first, and what is done to the result."""

    @property
    def halo(self) -> int:
        """The pixels around an output pixel that it depends on: two neighbourhoods."""
        return 2 * self.radius

    def clean(self, mask: Mask, counts: Mask, around: Mask) -> Mask:
        """The first step and then the second one, on the decisions of one image."""
        first = self.steps[0]
        second = self.steps[1]
        return second(first(mask, counts, around), counts, around)
