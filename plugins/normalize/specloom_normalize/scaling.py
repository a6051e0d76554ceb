"""The limits that data are scaled by: how they are applied, and those of one image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from specloom_normalize.memory import BLOCK, new_memory
from specloom_normalize.sample import quantiles


class Scaling(NamedTuple):
    """(data - low) / span, or data * scale + offset."""

    low: Tensor
    """() or (C,), as ``span``; in the type of the data."""
    span: Tensor
    scale: Tensor
    """In the type of the limits, as ``offset``."""
    offset: Tensor

    @classmethod
    def between(cls, low: Tensor, high: Tensor, eps: float, dtype: torch.dtype) -> Scaling:
        """Scaling by max(high - low, eps), for data of a type."""
        scale = 1 / (high - low).clamp(min=eps)
        least, most = low.to(dtype), high.to(dtype)
        # The difference is rounded as the numerator is, so that `high` becomes exactly 1.
        return cls(least, (most - least).clamp(min=eps), scale, -low * scale)

    def apply(self, data: Tensor, *, clip: bool) -> Tensor:
        """Scale (..., C) ``data``.

        Args:
            data: Of the type that the scaling was made for.
            clip: Limit the result to [0, 1]; what is infinite becomes NaN.
        """
        low, span = self.low, self.span
        if torch.is_grad_enabled() and (data.requires_grad or span.requires_grad):
            made = (data - low) / span
            return made.clamp(0, 1) + 0 * made.detach() if clip else made
        size = data.shape[-1] if low.dim() else 1
        rows, step = data.reshape(-1, size), max(BLOCK // size, 1)
        made = new_memory(rows)
        for start in range(0, len(rows), step):
            part = made[start : start + step]
            torch.sub(rows[start : start + step], low, out=part)
            part.div_(span)
            if clip:
                wrong = part * 0  # NaN for NaN and infinities
                part.clamp_(0, 1).add_(wrong)
        return made.view(data.shape)


def image_limits(
    rows: Tensor, valid: Tensor | None, share: tuple[float, float] | None, *, per_channel: bool
) -> tuple[Tensor, Tensor]:
    """Lower and upper limit of one image, () or (C,), without waiting for a GPU; differentiable.

    Args:
        rows: The pixels, (N, C); those that are not finite in every band are left out.
        valid: Pixels that count, bool (N,); None for all.
        share: Two quantiles, or None for minimum and maximum.
        per_channel: One pair for each band.
    """
    least, most, total = [], [], torch.zeros((), dtype=torch.int64, device=rows.device)
    step, marked = max(BLOCK // rows.shape[1], 1), []
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        usable = (part.detach() * 0).sum(1) == 0
        if valid is not None:
            usable = usable & valid[start : start + step]
        if share is not None:
            marked.append(torch.where(usable[:, None], part, torch.nan))
            total = total + usable.sum()
        else:
            least.append(torch.where(usable[:, None], part, torch.inf).amin(0))
            most.append(torch.where(usable[:, None], part, -torch.inf).amax(0))
    if share is None:
        low, high = torch.stack(least).amin(0), torch.stack(most).amax(0)
        if not per_channel:
            low, high = low.amin(), high.amax()
        return torch.where(low <= high, low, torch.nan), high
    values = torch.cat(marked).T
    if not per_channel:
        values, total = values.reshape(1, -1), total * rows.shape[1]
    low, high = quantiles(values, total, *share)
    return (low, high) if per_channel else (low[0], high[0])
