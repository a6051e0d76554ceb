"""One band for each of several windows, and never the same one twice."""

from __future__ import annotations

from functools import reduce
from itertools import product

import torch
from torch import Tensor


def best_distinct(scores: Tensor, allowed: Tensor, ranks: Tensor) -> Tensor:
    """The band of each window, int64 (B, K): distinct, with the largest sum of scores.

    Where the windows' best bands differ, these are they. Of K windows each needs its K best
    bands at most, so that all combinations of these are compared at once. The first one counts
    of what is equal, in the order of the bands.

    Args:
        scores: (B, C), 0 or more; -inf for bands without usable pixels.
        allowed: Which bands each window has, bool (K, C); distinct ones exist.
        ranks: ``combinations(allowed)``, on the same device.
    """
    windows = len(allowed)
    by_window = torch.where(allowed, _finite(scores, windows)[:, None], -torch.inf)
    ranked = by_window.sort(dim=-1, descending=True, stable=True)
    window = torch.arange(windows, device=scores.device)
    bands = ranked.indices[:, window, ranks]  # (B, N, K): a band of each window
    values = ranked.values[:, window, ranks]
    total = reduce(torch.add, values.unbind(-1))  # in this order for any batch
    total = torch.where(_has_equal(bands), -torch.inf, total)
    best = total.argmax(-1)[:, None, None].expand(-1, 1, windows)
    return bands.gather(1, best)[:, 0]


def _finite(scores: Tensor, windows: int) -> Tensor:
    """``scores`` (B, C) with a low number for bands without usable pixels, not -inf.

    It is finite, so that sums stay comparable where one window shows nothing, and low enough that
    such a band never wins over one that shows something.
    """
    largest = scores.clamp(min=0).amax(-1, keepdim=True)
    floor = -(1 + windows) * torch.where(largest > 0, largest, 1)
    return torch.maximum(scores, floor)


def _has_equal(bands: Tensor) -> Tensor:
    """Which combinations (B, N, K) have a band twice, bool (B, N)."""
    equal = bands[..., :, None] == bands[..., None, :]
    return equal.sum((-1, -2)) > bands.shape[-1]  # each band is equal to itself


def combinations(allowed: Tensor) -> Tensor:
    """For each combination the rank of the band that each window takes, int64 (N, K)."""
    windows = len(allowed)
    ranks = [range(min(count, windows)) for count in allowed.sum(-1).tolist()]
    return torch.tensor(list(product(*ranks)), dtype=torch.int64).view(-1, windows)


def can_be_distinct(allowed: Tensor) -> bool:
    """Whether every window can have a band of its own."""
    windows = len(allowed)
    bands = [row.nonzero()[:windows, 0].tolist() for row in allowed]
    return any(len(set(chosen)) == windows for chosen in product(*bands))
