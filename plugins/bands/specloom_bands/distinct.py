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
    # Finite, so that sums stay comparable where one window shows nothing, and low enough that
    # such a band never wins over one that shows something.
    most = scores.clamp(min=0).amax(-1, keepdim=True)
    floor = -(1 + len(allowed)) * torch.where(most > 0, most, 1)
    inside = torch.where(allowed, torch.maximum(scores, floor)[:, None], -torch.inf)
    ranked = inside.sort(dim=-1, descending=True, stable=True)
    places = torch.arange(len(allowed), device=scores.device)
    bands, values = (part[:, places, ranks] for part in (ranked.indices, ranked.values))
    same = bands[..., :, None] == bands[..., None, :]
    clash = same.sum((-1, -2)) > len(allowed)
    total = reduce(torch.add, values.unbind(-1))  # in this order for any batch
    best = torch.where(clash, -torch.inf, total).argmax(-1)
    return bands.gather(1, best[:, None, None].expand(-1, 1, len(allowed)))[:, 0]


def combinations(allowed: Tensor) -> Tensor:
    """For each combination the rank of the band that each window takes, int64 (N, K)."""
    counts = allowed.sum(-1).tolist()
    rows = [range(min(count, len(counts))) for count in counts]
    return torch.tensor(list(product(*rows)), dtype=torch.int64).view(-1, len(counts))


def can_be_distinct(allowed: Tensor) -> bool:
    """Whether every window can have a band of its own."""
    bands = [row.nonzero()[: len(allowed), 0].tolist() for row in allowed]
    return any(len(set(chosen)) == len(chosen) for chosen in product(*bands))
