"""Batches for the conformance kit."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def equal_images(
    sizes: Mapping[str, int], channels: Mapping[str, int], masks: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Return a batch of equal images: which of them are shown depends on their order.

    Args:
        sizes: B, H and W.
        channels: For each input of real numbers its number of channels K, for (B, H, W, K).
        masks: The inputs that are bool (B, H, W, 1).
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> Tensor:
        image = torch.rand(1, sizes["H"], sizes["W"], count, generator=generator)
        return image.repeat(sizes["B"], 1, 1, 1)

    batch = {name: draw(count) for name, count in channels.items()}
    for name in masks:
        batch[name] = draw(1) > 0.5
    return batch
