"""Each pixel is decided by a vote of its neighbourhood."""

import math
from typing import Any

from specloom import ConfigError, node
from specloom_objects.footprints import Mask, count
from specloom_objects.neighbourhood import NeighbourhoodNode


@node
class MajorityVote(NeighbourhoodNode):
    """Decides where more than a fraction of the pixels of a neighbourhood are decided.

    Decisions are (B, H, W, 1). The pixel itself has a vote. Pixels outside the image and those
    that are not valid have none; those that are not valid are decided False.

    Args:
        radius: The radius of the neighbourhood, in pixels.
        shape: The neighbourhood: ``disk``, ``diamond`` or ``square``.
        fraction: The fraction of the votes that must be exceeded, from 0 to less than 1.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    fraction: float = 0.5

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        super().build(sizes)
        if math.isnan(self.fraction) or not 0 <= self.fraction < 1:
            raise ConfigError(
                f"fraction is a fraction of the votes, got {self.fraction}",
                fix="set a fraction from 0 to less than 1, such as 0.5",
            )

    def clean(self, mask: Mask, counts: Mask, around: Mask) -> Mask:
        """The votes of one image, counted."""
        votes = count(mask & counts, around)
        voters = count(counts, around)
        won: Mask = votes > self.fraction * voters
        return won & counts
