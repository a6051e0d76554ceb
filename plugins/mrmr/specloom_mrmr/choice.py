"""The greedy choice of bands that are relevant and not redundant."""

from __future__ import annotations

import torch
from torch import Tensor

# Scores that differ by less count as equal, and the first band is taken: rounding, which depends
# on the order of the pixels, must not choose between a band and its copy.
DECIMALS = 9


def choose_bands(
    scores: Tensor, correlation: Tensor, penalty: float, allowed: Tensor, varying: Tensor
) -> list[int]:
    """One band for each row of ``allowed``, in turn, and never the same one twice.

    Each is the one with the highest score - penalty * max |correlation with those chosen|; bands
    that do not vary come last. A band that a later window cannot do without is left to it.

    Source: H. Peng, F. Long, C. Ding, IEEE Trans. PAMI 27(8), 2005, with the maximum in place of
    the mean redundancy.

    Args:
        scores: The relevance of each band, (C,).
        correlation: Absolute, (C, C).
        penalty: The weight of the redundancy.
        allowed: The bands of each window, bool (K, C); distinct ones exist.
        varying: Bands that are not constant, bool (C,).
    """
    chosen: list[int] = []
    redundancy = torch.zeros_like(scores)
    free = allowed.clone()
    for number in range(len(allowed)):
        adjusted = (scores - penalty * redundancy).round(decimals=DECIMALS)
        order = adjusted.argsort(descending=True, stable=True)
        order = order[(~varying[order]).int().argsort(stable=True)]
        for band in order[free[number, order]].tolist():
            rest = free[number + 1 :].clone()
            rest[:, band] = False
            if can_be_distinct(rest):
                break
        chosen.append(band)
        free[:, band] = False
        redundancy = torch.maximum(redundancy, correlation[band])
    return chosen


def can_be_distinct(allowed: Tensor) -> bool:
    """Whether each row of ``allowed``, bool (K, C), can have a band of its own."""
    # No row needs more bands than there are rows.
    options = [row.nonzero()[: len(allowed), 0].tolist() for row in allowed]
    owner: dict[int, int] = {}

    def assign(row: int, tried: set[int]) -> bool:
        """Assign a band to ``row``, with other bands for the rows that lose theirs."""
        for band in options[row]:
            if band in tried:
                continue
            tried.add(band)
            if band not in owner or assign(owner[band], tried):
                owner[band] = row
                return True
        return False

    return all(assign(row, set()) for row in range(len(options)))
