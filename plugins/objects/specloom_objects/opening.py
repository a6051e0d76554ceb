"""Morphological opening: what is too small to hold the neighbourhood is removed."""

from specloom import node
from specloom_objects.footprints import dilate, erode
from specloom_objects.neighbourhood import TwoNeighbourhoods


@node
class Opening(TwoNeighbourhoods):
    """Removes what is narrower than a neighbourhood from decisions (B, H, W, 1).

    An opening: True where a neighbourhood that is decided throughout covers the pixel
    (Serra, 1982, Image Analysis and Mathematical Morphology, Academic Press). Pixels outside the
    image and those that are not valid count neither as decided nor as not decided, so that an
    object at the border is treated as if it went on; those that are not valid are decided False.

    Args:
        radius: The radius of the neighbourhood, in pixels.
        shape: The neighbourhood: ``disk``, ``diamond`` or ``square``.

    Raises:
        ConfigError: The radius is less than 1.
    """

    steps = (erode, dilate)
