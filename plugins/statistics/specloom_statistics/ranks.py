"""Quantiles by linear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor


def quantiles(values: Tensor, count: Tensor, low: float, high: float) -> Tensor:
    """Two quantiles of each row, (2, C), of the numbers in ``values``; differentiable.

    Args:
        values: (C, N); NaN marks what is excluded.
        count: How many numbers each row has, ().
        low: The lower quantile, 0 to 1.
        high: The upper one.
    """
    ranked = values.sort(dim=1).values  # NaN sort last
    found = []
    for share in (low, high):
        place = share * (count.double() - 1).clamp(min=0)
        below = place.floor().long().clamp(max=values.shape[1] - 1)
        above = (below + 1).clamp(max=values.shape[1] - 1)
        left = ranked.index_select(1, below[None])
        right = ranked.index_select(1, above[None])
        step = (place - below).to(values.dtype)
        # At a whole place the right neighbour may be NaN, which 0 * NaN would spread.
        found.append(torch.where(step > 0, left + step * (right - left), left)[:, 0])
    return torch.stack(found)
