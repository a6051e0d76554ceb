"""Specular highlights, which show the lamp and not the material."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode

if TYPE_CHECKING:
    from torch import Tensor


@node
class Highlights(TorchNode):
    """Excludes pixels with specular highlights, or that are not a number in a band.

    What a surface reflects like a mirror has the spectrum of the light, so in reflectance it adds
    the same to every band; the smallest band of a pixel is then at least that much. A pixel is
    excluded where its smallest band is above ``level``: a material that reflects so much of every
    band is whiter than the panel.

    Source: S. A. Shafer, Color Research and Application 10(4), 1985, eq. 1 (the two parts of a
    reflection).

    Args:
        level: The reflectance above which the smallest band of a pixel is a highlight.

    Raises:
        ConfigError: ``level`` is not a number above 0.
    """

    data = Input("B H W C", unit="1", doc="Reflectance.")
    valid_in = Input("B H W 1", "bool", optional=True, doc="Pixels that may be used.", name="valid")
    valid = Output("B H W 1", "bool", doc="Pixels that may be used and are no highlights.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"level": 0.4}

    level: float = 0.9

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the level."""
        if not (math.isfinite(self.level) and self.level > 0):
            raise ConfigError(f"{self.label}: level is {self.level}", fix="set level above 0")

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Find the pixels of (B, H, W, C) ``data`` without highlights."""
        least = data.amin(-1, keepdim=True)  # NaN where a band is NaN
        usable = least <= self.level
        if valid is not None:
            usable = usable & valid
        return {"valid": usable}
