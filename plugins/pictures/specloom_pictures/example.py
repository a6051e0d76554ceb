"""Batches for the conformance kit."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def alike(
    sizes: Mapping[str, int], channels: Mapping[str, int], masks: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Equal images, (B, H, W, K): which of them are shown, and as what, depends on their order.

    Args:
        sizes: B, H and W.
        channels: K for each input of real numbers.
        masks: The inputs that are bool (B, H, W, 1).
    """
    generator = torch.Generator().manual_seed(0)
    image, copies = (1, sizes["H"], sizes["W"]), (sizes["B"], 1, 1, 1)

    def images(count: int) -> Tensor:
        return torch.rand(*image, count, generator=generator).repeat(copies)

    made = {name: images(count) for name, count in channels.items()}
    return made | {name: images(1) > 0.5 for name in masks}
