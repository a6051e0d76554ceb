"""Dead and hot elements of a sensor, replaced by the median of those around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, NodeError, Output, StripPasses, node
from specloom.torch import buffer
from specloom_reflectance.sensor import (
    NEIGHBOURS,
    ElementStatistics,
    dead_elements,
    median_of_numbers,
)
from specloom_reflectance.whole_rows import WholeRows
from specloom_statistics import StreamingNode

BLOCK_VALUES = 1 << 20
"""Neighbours that are in memory at a time."""


@node
class DeadPixels(StreamingNode[ElementStatistics]):
    """Replaces dead and hot elements of a line camera's sensor by the median around them.

    Each column and band of a line camera is one element of its sensor, which makes a stripe along
    the lines where it is dead or hot. The fit has mean and standard deviation of every element
    over all lines. An element is dead where its standard deviation is not above ``dead`` times the
    median of the eight elements around it; it is hot where its mean differs from the median of
    those around it by more than ``hot`` standard deviations of this difference in its band (by the
    median absolute deviation). In each line such an element becomes the median of the good ones
    around it in column and band. What is NaN stays NaN.

    Args:
        dead: The share of the standard deviation around an element up to which it is dead.
        hot: The standard deviations from which an element is hot.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: A parameter is not a positive number.
        NodeError: Images have different numbers of columns, or the fit saw no usable pixel.
    """

    data = Input("B H W num_channels", doc="Raw counts of a line camera.")
    valid = Input(
        "B H W 1", "bool", optional=True, for_fit=True, labelled=False, doc="Pixels to fit."
    )
    repaired = Output("B H W num_channels", doc="The same, with dead and hot elements replaced.")
    locality = "image"
    example: ClassVar[Mapping[str, object]] = {"hot": 2.0, "num_channels": 5}

    dead: float = 0.01
    hot: float = 8.0
    num_channels: int | None = None

    bad = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters; no element is known yet."""
        for name in ("dead", "hot"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0):
                raise ConfigError(f"{self.label}: {name} is {number}", fix=f"set {name} above 0")
        shape = (0, sizes["num_channels"])
        self.register_buffer("bad", torch.zeros(shape, dtype=torch.bool))
        self._find_places()

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        channels = self.bad.shape[1]
        self.start_statistics(ElementStatistics(self.label, channels, self.bad.device))

    def fit_update(self, data: Tensor, valid: Tensor | None = None) -> None:
        """Add the lines of (B, H, W, C) ``data``."""
        self.statistics().update(data.detach(), valid)

    def fit_end(self) -> None:
        """Find the dead and hot elements."""
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        bad = dead_elements(statistics, self.dead, self.hot)
        self.register_buffer("bad", bad.to(self.bad.device))
        self._find_places()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, of any number of columns."""
        saved = state.get("bad")
        if saved is not None and saved.ndim == 2 and saved.shape[1] == self.bad.shape[1]:
            self.register_buffer("bad", torch.zeros_like(saved, device=self.bad.device))
        super().restore(state)
        self._find_places()

    def _find_places(self) -> None:
        """List the bad elements, and the good ones around each, by their numbers in a line."""
        columns, bands = self.bad.shape
        bad = self.bad.cpu()
        found = bad.nonzero()
        steps = torch.tensor(NEIGHBOURS)
        around = found[:, None] + steps
        inside = (around >= 0).all(-1)
        inside &= around[..., 0] < columns
        inside &= around[..., 1] < bands
        column = around[..., 0].clamp(0, max(columns - 1, 0))
        band = around[..., 1].clamp(0, max(bands - 1, 0))
        if len(found):
            inside &= ~bad[column, band]
        self._elements = found[:, 0] * bands + found[:, 1]
        self._around = column * bands + band
        self._inside = inside

    def strip_passes(self) -> StripPasses:
        """The work on one image, in strips of whole rows."""
        return WholeRows(self.forward)

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Replace the dead and hot elements of (B, H, W, C) ``data``."""
        columns = len(self.bad)
        if columns and data.shape[2] != columns:
            raise NodeError(
                f"{self.label}: the data have {data.shape[2]} columns, it was fitted on {columns}",
                fix="use data of the camera that it was fitted on, with the same columns",
            )
        count = len(self._elements)
        if not count:
            return {"repaired": data}
        lines = data.flatten(0, 1).flatten(1)
        rows = max(BLOCK_VALUES // (count * len(NEIGHBOURS)), 1)
        parts = [self._repair(lines[at : at + rows]) for at in range(0, len(lines), rows)]
        return {"repaired": torch.cat(parts).view(data.shape)}

    def _repair(self, lines: Tensor) -> Tensor:
        """Some lines (n, W * C) with the bad elements replaced."""
        elements = self._elements.to(lines.device)
        around = lines[:, self._around.to(lines.device)]
        values = torch.where(self._inside.to(lines.device), around, torch.nan)
        present = lines[:, elements]
        replaced = torch.where(present.isnan(), present, median_of_numbers(values))
        return lines.index_copy(1, elements, replaced)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        columns, bands = self.bad.shape
        found = int(self.bad.sum())
        return f"{found} of {columns} x {bands} elements are bad, {self.pixel_summary()}"
