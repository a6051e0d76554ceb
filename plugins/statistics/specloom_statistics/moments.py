"""Streaming mean and covariance of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specloom_statistics.merging import SampleMoments
from specloom_statistics.native import native_kernels
from specloom_statistics.shifted import ShiftedSums, Sums

CONSTANT_TOLERANCE = 64 * torch.finfo(torch.float64).eps
"""A band is constant when its standard deviation, over its mean, is not above this."""


class Moments(ShiftedSums):
    """Count, mean and scatter of rows that arrive in batches, in memory that does not grow.

    Each block is converted to float64, shifted by the median of the first rows, and multiplied in
    float64: without the shift, or in float32, the weak directions of real scenes are lost. Rows
    that are not finite in every column are excluded and counted. The same rows in the same
    batches give the same bits.

    Args:
        channels: C, the length of a row.
        device: The device of the rows and of the sums.
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        super().__init__(channels, device, columns=channels + 1)

    @property
    def _products(self) -> Tensor:
        return self._sums.tensors[0]

    def _empty_sums(self) -> Sums:
        return Sums([self._zeros(self.channels + 1, self.channels + 1)])

    def _new_memory(self, rows: int) -> Tensor:
        memory = super()._new_memory(rows)
        # The column of ones behind the bands: one product also gives the sums.
        memory[:, -1] = 1
        return memory

    def _sum_natively(self, selected: Any) -> tuple[Any, ...]:
        products: tuple[Any, ...] = selected.moments(self._shift)
        return products

    def _reduce(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        products = _self_products(rows)
        return products, products[-1]

    def _accumulate(self, sums: Sequence[Tensor], rows: Tensor, reduced: Tensor) -> None:
        # Not addmm_: some BLAS then add row after row to the sum so far, whose rounding grows
        # with the stream and loses the weak directions.
        sums[0].add_(reduced)

    def mean_and_scatter(self) -> tuple[Tensor, Tensor]:
        """The mean (C,), and the sum of (x - mean)(x - mean)^T, (C, C); zeros before any row."""
        total = self._products[-1, :-1]
        squares = self._products[:-1, :-1]
        if self._shift is None:
            return total.clone(), squares.clone()
        kernels = native_kernels(self.device)
        if kernels is not None:
            found: tuple[Tensor, Tensor]
            found = kernels.mean_and_scatter(self._products, self._shift, self.count)
            return found
        offset = total / self.count
        upper = (squares - torch.outer(total, offset)).triu()
        return self._shift + offset, upper + upper.triu(1).T

    def native_background(
        self, kernels: ModuleType, eps: float, shrinkage: float, tolerance: float
    ) -> Any:
        """The ``Background`` of specloom-native that follows; arguments as of its ``background``.

        Before any row there is none.
        """
        return kernels.background(
            self._products,
            self._shift,
            self.count,
            constant=CONSTANT_TOLERANCE,
            eps=eps,
            shrinkage=shrinkage,
            tolerance=tolerance,
        )

    def moments(self) -> SampleMoments:
        """Size, mean and scatter so far; zeros before any row."""
        mean, scatter = self.mean_and_scatter()
        return SampleMoments(self.count, mean, scatter)

    def _set_moments(self, moments: SampleMoments) -> None:
        self._products.zero_()
        self._products[:-1, :-1] = moments.scatter

    def mean(self) -> Tensor:
        """The mean, (C,)."""
        return self.mean_and_scatter()[0]

    def covariance(self, ddof: int = 1) -> Tensor:
        """The covariance (C, C), divided by count - ddof; zeros while that is not positive."""
        return self.mean_and_scatter()[1] / max(self.count - ddof, 1)

    def state(self) -> dict[str, Tensor]:
        """Counts, mean and scatter so far, in float64."""
        mean, scatter = self.mean_and_scatter()
        return {"counts": self._counts(), "mean": mean, "scatter": scatter}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self._merge_moments(state, state["scatter"])


def _self_products(rows: Tensor) -> Tensor:
    """rows^T rows, (C, C), for ``rows`` (N, C)."""
    if rows.device.type == "cpu":
        array = rows.numpy()
        with np.errstate(all="ignore"):
            # NumPy sees that the product is symmetric, and does half the work.
            return torch.from_numpy(array.T @ array)
    return rows.T @ rows


def varying_bands(mean: Tensor, covariance: Tensor) -> Tensor:
    """Which bands vary by more than the rounding of their mean, bool (..., C)."""
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    return variance > (CONSTANT_TOLERANCE * mean) ** 2
