"""Pixels that are saturated in a band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, NodeError, Output, node
from specloom.torch import TorchNode, buffer
from specloom_reflectance.levels import level_tensor, unsaturated


@node
class Saturation(TorchNode):
    """Excludes pixels that are saturated in any band, or not a number in one.

    Args:
        level: The count from which a value is saturated, one for all bands or one for each.
        bits: Instead: the bits of the camera; 2^bits - 1 is saturated. With neither, the largest
            integer of the data's type, where they come as integers.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``level`` and ``bits`` are set, or there is not one level above 0 for each
            band.
        NodeError: The level is not known.
    """

    data = Input("B H W num_channels", "real", doc="Raw counts.")
    valid_in = Input("B H W 1", "bool", optional=True, doc="Pixels that may be used.", name="valid")
    valid = Output("B H W 1", "bool", doc="Pixels that may be used and are not saturated.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"level": 0.6}

    level: float | list[float] | None = None
    bits: int | None = None
    num_channels: int | None = None

    levels = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        if self.level is not None and self.bits is not None:
            raise ConfigError(f"{self.label}: level and bits are set", fix="remove one of them")
        if self.bits is not None and not 1 <= self.bits <= 32:
            raise ConfigError(
                f"{self.label}: bits is {self.bits}", fix="set bits to a number from 1 to 32"
            )
        channels = sizes["num_channels"]
        # Without a level it follows from the type of the data.
        levels = torch.full((channels,), torch.nan, dtype=torch.float64)
        if self.bits is not None:
            levels = torch.full_like(levels, 2.0**self.bits - 1)
        if self.level is not None:
            levels = level_tensor(self.label, "level", self.level, channels)
        self.register_buffer("levels", levels)

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Find the pixels of (B, H, W, C) ``data`` that are not saturated."""
        usable = unsaturated(data, self._levels(data))
        if valid is not None:
            usable = usable & valid
        return {"valid": usable}

    def _levels(self, data: Tensor) -> Tensor:
        if self.level is not None or self.bits is not None:
            return self.levels
        if data.is_floating_point():
            raise NodeError(
                f"{self.label}: the data come as {data.dtype}, which has no level of saturation",
                fix="set level to the count from which values are saturated, or bits",
            )
        most = torch.iinfo(data.dtype).max
        return torch.full_like(self.levels, float(most))
