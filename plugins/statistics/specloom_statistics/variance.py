"""Streaming variance of every band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from specloom_statistics.merging import SampleMoments
from specloom_statistics.shifted import ShiftedSums, Sums


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

    def _empty_sums(self) -> Sums:
        # Of the shifted values, and of their squares.
        return Sums([self._zeros(self.channels), self._zeros(self.channels)])

    def _sum_natively(self, selected: Any) -> tuple[Any, ...]:
        sums: tuple[Any, ...] = selected.variances(self._shift)
        return sums

    def _reduce(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        total = rows.sum(0)
        return total, total

    def _accumulate(self, sums: Sequence[Tensor], rows: Tensor, reduced: Tensor) -> None:
        total, squares = sums
        total.add_(reduced)
        squares.add_(rows.square_().sum(0))

    def moments(self) -> SampleMoments:
        """Size, mean and squared deviations (C,) so far; zeros before any row."""
        total, squares = self._sums.tensors
        if self._shift is None:
            return SampleMoments(0, total.clone(), squares.clone())
        offset = total / self.count
        deviations = (squares - total * offset).clamp(min=0)
        return SampleMoments(self.count, self._shift + offset, deviations)

    def _set_moments(self, moments: SampleMoments) -> None:
        self._sums.tensors = [torch.zeros_like(moments.mean), moments.scatter.clone()]

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
