"""Statistics of the elements of a sensor, one for each column and band, over many lines."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import NodeError
from specloom.torch import usable_pixels

MAD_TO_DEVIATION = 1.4826
"""The standard deviation of a normal distribution, in its median absolute deviations."""

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Columns and bands from an element to those around it."""


class ElementStatistics:
    """Count, mean and squared deviations of each element over the lines that were seen.

    Args:
        label: The node, for messages.
        channels: C.
        device: The device of the sums.
    """

    def __init__(self, label: str, channels: int, device: torch.device) -> None:
        self._label = label
        self.counts = torch.zeros(0, 1, dtype=torch.float64, device=device)
        self.mean = torch.zeros(0, channels, dtype=torch.float64, device=device)
        self.squares = torch.zeros(0, channels, dtype=torch.float64, device=device)
        self.count = 0
        self.left_out = 0

    def update(self, data: Tensor, valid: Tensor | None) -> None:
        """Add the lines of (B, H, W, C) ``data``; a pixel that is not usable is left out.

        Raises:
            NodeError: An image has other columns than those before.
        """
        usable = usable_pixels(data, valid)
        for image, mask in zip(data, usable, strict=True):
            weights = mask[..., None].double()
            values = torch.where(mask[..., None], image.double(), 0.0)
            counts = weights.sum(0)
            mean = values.sum(0) / counts.clamp(min=1)
            squares = ((values - mean).square() * weights).sum(0)
            self._add(counts, mean, squares)
            used = int(mask.sum())
            self.count += used
            self.left_out += mask.numel() - used

    def _add(self, counts: Tensor, mean: Tensor, squares: Tensor) -> None:
        """Add the statistics of other lines.

        Source: T. Chan, G. Golub, R. LeVeque, The American Statistician 37(3), 1983, eq. 2.1.
        """
        if not len(self.mean):
            self.counts = counts
            self.mean = mean
            self.squares = squares
            return
        if len(mean) != len(self.mean):
            raise NodeError(
                f"{self._label}: an image has {len(mean)} columns, others have {len(self.mean)}",
                fix="fit it on images of one camera, with the same columns",
            )
        total = self.counts + counts
        share = counts / total.clamp(min=1)
        gap = mean - self.mean
        self.squares = self.squares + squares + gap.square() * self.counts * share
        self.mean = self.mean + gap * share
        self.counts = total

    def deviations(self) -> Tensor:
        """The standard deviation of each element over the lines, (W, C)."""
        return (self.squares / (self.counts - 1).clamp(min=1)).clamp(min=0).sqrt()

    def state(self) -> dict[str, Tensor]:
        """All sums so far."""
        return {
            "counts": self.counts,
            "mean": self.mean,
            "squares": self.squares,
            "pixels": torch.tensor([self.count, self.left_out]),
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        if len(state["mean"]):
            device = self.mean.device
            parts = [state[name].to(device) for name in ("counts", "mean", "squares")]
            self._add(*parts)
        used, left_out = state["pixels"].tolist()
        self.count += used
        self.left_out += left_out


def neighbour_median(values: Tensor, usable: Tensor) -> Tensor:
    """The median of the usable neighbours of each element, (W, C); NaN where there are none.

    Args:
        values: (W, C).
        usable: Elements that may be used, bool (W, C).
    """
    columns, bands = values.shape
    padded = torch.full((columns + 2, bands + 2), torch.nan, dtype=values.dtype)
    padded = padded.to(values.device)
    padded[1:-1, 1:-1] = torch.where(usable, values, torch.nan)
    around = []
    for column, band in NEIGHBOURS:
        around.append(padded[1 + column : 1 + column + columns, 1 + band : 1 + band + bands])
    return median_of_numbers(torch.stack(around, -1))


def median_of_numbers(values: Tensor) -> Tensor:
    """The median over the last axis of what is not NaN; NaN where nothing is.

    Of an even number of values it is the mean of the two in the middle.
    """
    ordered = values.sort(-1).values  # NaN comes last
    counts = (~values.isnan()).sum(-1, keepdim=True)
    low = ordered.gather(-1, ((counts - 1) // 2).clamp(min=0))
    high = ordered.gather(-1, (counts // 2).clamp(max=values.shape[-1] - 1))
    middle = (low + high) / 2
    return torch.where(counts > 0, middle, torch.nan)[..., 0]


def dead_elements(statistics: ElementStatistics, dead: float, hot: float) -> Tensor:
    """Which elements are dead or hot, bool (W, C).

    Dead is an element whose standard deviation over the lines is not above ``dead`` times the
    median of those around it; hot is one whose mean differs from the median of those around it by
    more than ``hot`` standard deviations, estimated in its band by the median absolute deviation.

    Args:
        statistics: Those of the lines of the fit.
        dead: A share of the standard deviation around an element.
        hot: A number of standard deviations.
    """
    deviations = statistics.deviations()
    known = (statistics.counts > 1).expand_as(deviations)
    around = neighbour_median(deviations, known)
    is_dead = known & (deviations <= dead * around) & (around > 0)
    usable = known & ~is_dead
    gap = statistics.mean - neighbour_median(statistics.mean, usable)
    gap = torch.where(usable, gap, torch.nan)
    centre = median_of_numbers(gap.T)
    spread = median_of_numbers((gap - centre).abs().T) * MAD_TO_DEVIATION
    is_hot = (gap - centre).abs() > hot * spread
    return is_dead | (usable & is_hot & (spread > 0))
