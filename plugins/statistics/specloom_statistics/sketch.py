"""Quantiles of a stream of positive numbers, by counts in bins of equal relative width."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

# Bins of a number's exponent and the leading bits of its mantissa: 64 octaves, 2^14 bins in each.
MANTISSA_BITS = 14
SHIFT = 52 - MANTISSA_BITS
LOWEST_EXPONENT = -32
OCTAVES = 64
EXPONENT_BIAS = 1023
FIRST = (EXPONENT_BIAS + LOWEST_EXPONENT) << MANTISSA_BITS
BINS = OCTAVES << MANTISSA_BITS


class QuantileSketch:
    """Counts of positive numbers, of which quantiles follow within 6.1e-5 of their value.

    Order and split of the stream change no bit, as counts are added; memory is 8 MB. Numbers below
    2^-32 count as 0, those from 2^32 on as infinite; NaN are excluded.

    Source: C. Masson, J. E. Rim, H. K. Lee, PVLDB 12(12), 2019 (DDSketch), with bins that are
    linear within an octave.

    Args:
        device: The device of the counts.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._counts = torch.zeros(BINS, dtype=torch.int64, device=device)

    def update(self, values: Tensor, keep: Tensor | None = None) -> None:
        """Add ``values`` (N,).

        Args:
            values: Numbers from 0 on, of any real type.
            keep: The numbers to use, bool (N,); None for all.
        """
        used = ~values.isnan()
        if keep is not None:
            used &= keep
        bits = values.detach()[used].double().view(torch.int64)
        places = ((bits >> SHIFT) - FIRST).clamp(0, BINS - 1)
        self._counts += torch.bincount(places, minlength=BINS)

    @property
    def count(self) -> int:
        """How many numbers were added."""
        return int(self._counts.sum())

    def upper_bound(self, share: float) -> float:
        """A number that at least the ``share`` of all does not exceed, at most 1.3e-4 too large.

        It is the upper end of the bin behind that of the quantile, so that numbers which differ by
        rounding lie on one side of it.

        Args:
            share: 0 to 1.

        Raises:
            ValueError: There is no number.
        """
        total = self.count
        if not total:
            raise ValueError("a quantile of no numbers")
        rank = max(math.ceil(share * total), 1)
        place = int(torch.searchsorted(self._counts.cumsum(0), rank))
        if place + 2 >= BINS:
            return math.inf
        bits = torch.tensor((place + 2 + FIRST) << SHIFT)
        return float(bits.view(torch.float64))

    def state(self) -> dict[str, Tensor]:
        """The bins with numbers, and how many each has."""
        bins = self._counts.nonzero()[:, 0]
        return {"bins": bins, "numbers": self._counts[bins]}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        bins = state["bins"].to(self._counts)
        self._counts.index_add_(0, bins, state["numbers"].to(self._counts))
