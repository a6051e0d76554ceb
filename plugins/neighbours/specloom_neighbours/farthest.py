"""Points that are far from each other."""

from __future__ import annotations

import torch
from torch import Tensor


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Indices of ``count`` of the ``points`` (n, q), each farthest from those before it.

    The first one is the point nearest to the origin.

    Source: T. F. Gonzalez, Theoretical Computer Science 38, 1985.
    """
    first = points.square().sum(1).argmin()
    chosen = [first]
    distances = (points - points[first]).square().sum(1)
    for _ in range(1, min(count, len(points))):
        farthest = distances.argmax()
        chosen.append(farthest)
        distances = torch.minimum(distances, (points - points[farthest]).square().sum(1))
    return torch.stack(chosen)
