"""Streaming variance of every band."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom_statistics.merging import SampleMoments
from specloom_statistics.shifted import ShiftedSums


class RunningVariance(ShiftedSums):
    """Count, mean and squared deviations of each column of rows that arrive in batches.

    It is what ``Moments`` has on the diagonal, in memory of C in place of C^2 numbers. Rows that
    are not finite in every column are excluded and counted.

    Args:
        channels: C, the length of a row.
        device: The device of the rows and of the sums.
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        super().__init__(channels, device, columns=channels)
        # Of the shifted values.
        self._sum = self._zeros(channels)
        self._squares = self._zeros(channels)

    def _reduce(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        total = rows.sum(0)
        return total, total

    def _accumulate(self, rows: Tensor, sums: Tensor) -> None:
        self._sum += sums
        self._squares += rows.square_().sum(0)

    def moments(self) -> SampleMoments:
        """Size, mean and squared deviations (C,) so far; zeros before any row."""
        if self._shift is None:
            return SampleMoments(0, self._sum.clone(), self._squares.clone())
        offset = self._sum / self.count
        squares = (self._squares - self._sum * offset).clamp(min=0)
        return SampleMoments(self.count, self._shift + offset, squares)

    def _set_moments(self, moments: SampleMoments) -> None:
        self._sum = torch.zeros_like(moments.mean)
        self._squares = moments.scatter.clone()

    def mean(self) -> Tensor:
        """The mean, (C,)."""
        return self.moments().mean

    def variance(self) -> Tensor:
        """The mean squared deviation of every column, (C,); zeros before any row."""
        return self.moments().scatter / max(self.count, 1)

    def state(self) -> dict[str, Tensor]:
        """Counts, mean and squared deviations so far, in float64."""
        _, mean, squares = self.moments()
        return {"counts": self._counts(), "mean": mean, "squares": squares}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self._merge_moments(state, state["squares"])
