"""Minimum and maximum of pixels, in one pass over memory."""

from __future__ import annotations

import torch
from torch import Tensor

# Values at a time, so that leaving out rows needs little memory.
BLOCK = 1 << 22
# Columns are compared with this many rows side by side, and so many of those in turn: narrow rows
# would leave most of a vector register idle, and long columns leave the cache.
ABREAST, DEEP = 256, 8


def extremes(rows: Tensor, keep: Tensor | None, *, per_channel: bool) -> tuple[Tensor, Tensor, int]:
    """Smallest and largest value of the usable rows, in float64, and how many rows are usable.

    Rows that are not finite in every column are not usable. Without usable rows the limits are
    +inf and -inf.

    Args:
        rows: The pixels, (N, C).
        keep: Rows that count, bool (N,); None for all.
        per_channel: One pair for each column, (C,), or one for all, ().
    """
    if keep is not None and bool(keep.all()):
        keep = None
    if keep is None and len(rows) and not per_channel:
        least, most = torch.aminmax(rows)  # in one go, which is as fast as memory can be read
        if bool(least.isfinite() & most.isfinite()):
            return least.double(), most.double(), len(rows)
    size = rows.shape[1]
    shape = (size,) if per_channel else ()
    low = torch.full(shape, torch.inf, dtype=torch.float64, device=rows.device)
    high, count = -low, 0
    block = max(BLOCK // size // (ABREAST * DEEP), 1) * ABREAST * DEEP
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        if keep is not None:
            part = part[keep[start : start + block]]
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
    size, whole = rows.shape[1], len(rows) - len(rows) % (ABREAST * DEEP)
    if not whole:
        return rows.amin(0), rows.amax(0)
    wide, rest = rows[:whole].reshape(-1, DEEP, ABREAST * size), rows[whole:]
    least, most = wide.amin(1).amin(0).view(-1, size), wide.amax(1).amax(0).view(-1, size)
    return torch.cat([least, rest]).amin(0), torch.cat([most, rest]).amax(0)
