"""Minimum and maximum of pixels, in one pass over memory."""

from __future__ import annotations

import torch
from torch import Tensor

# Values at a time: 1 MB of float32 stays in a core's cache.
BLOCK = 1 << 18
# Rows side by side: narrow rows would leave most of a vector register idle.
ABREAST = 16


def extremes(rows: Tensor, keep: Tensor | None, *, per_channel: bool) -> tuple[Tensor, Tensor, int]:
    """Smallest and largest value of the usable rows, in float64, and how many rows are usable.

    Rows that are not finite in every column are not usable. Without usable rows the limits are
    +inf and -inf.

    Args:
        rows: The pixels, (N, C).
        keep: Rows that count, bool (N,); None for all.
        per_channel: One pair for each column, (C,), or one for all, ().
    """
    size = rows.shape[1]
    shape = (size,) if per_channel else ()
    low = torch.full(shape, torch.inf, dtype=torch.float64, device=rows.device)
    high, count = -low, 0
    block = max(BLOCK // size // ABREAST, 1) * ABREAST
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        if keep is not None and not bool((kept := keep[start : start + block]).all()):
            part = part[kept]
        if not len(part):
            continue
        least, most = _of_block(part, per_channel)
        if not bool((least.isfinite() & most.isfinite()).all()):
            part = part[part.isfinite().all(1)]
            if not len(part):
                continue
            least, most = _of_block(part, per_channel)
        low, high = torch.minimum(low, least.double()), torch.maximum(high, most.double())
        count += len(part)
    return low, high, count


def _of_block(rows: Tensor, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Smallest and largest value; NaN where there is one."""
    if not per_channel:
        return torch.aminmax(rows)
    if len(rows) % ABREAST:
        return rows.amin(0), rows.amax(0)
    wide = rows.reshape(-1, ABREAST * rows.shape[1])
    return wide.amin(0).view(ABREAST, -1).amin(0), wide.amax(0).view(ABREAST, -1).amax(0)
