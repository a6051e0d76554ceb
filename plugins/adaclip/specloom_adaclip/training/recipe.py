"""How adapters are trained: the losses of the recipe, and one pass over pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from specloom_adaclip.model.adaclip import AdaCLIP, Prompting, Seen


def focal(probabilities: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """The focal loss of class probabilities (B, 2, ...) for bool targets (B, ...).

    Source: T.-Y. Lin et al., ICCV 2017, eq. 4, smoothed as in AdaCLIP's recipe.
    """
    hot = torch.stack([~target, target], 1).to(probabilities.dtype).clamp(1e-5, 1 - 1e-5)
    right = (hot * probabilities).sum(1) + 1e-5
    return (-((1 - right).clamp(min=0) ** gamma) * right.log()).mean()


def dice(probability: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the Dice coefficient of maps (B, H, W), for each image, averaged.

    Source: F. Milletari et al., V-Net, 3DV 2016, smoothed.
    """
    truth = target.to(probability.dtype).flatten(1)
    given = probability.flatten(1)
    both = (given * truth).sum(1)
    return (1 - (2 * both + smooth) / (given.sum(1) + truth.sum(1) + smooth)).mean()


def adapter_loss(seen: Seen, masks: Tensor) -> Tensor:
    """The loss of the recipe: image score, and each tap's maps, for bool masks (B, S, S)."""
    loss = focal(seen.score, masks.flatten(1).any(1))
    for layer in seen.layers(masks.shape[-1]):
        loss = loss + focal(layer, masks)
        loss = loss + dice(layer[:, 1], masks) + dice(layer[:, 0], ~masks)
    return loss


def train_adapters(
    model: AdaCLIP,
    prompting: Callable[[], Prompting],
    pictures: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    rate: float = 0.01,
) -> float:
    """Train the adapters, and nothing else, with AdamW; give the mean loss of the last tenth.

    Args:
        model: The model; its adapters change.
        prompting: The sentences to read, anew for each step.
        pictures: Normalised images (B, 3, S, S) with their masks (B, S, S), without end.
        steps: The number of batches.
        rate: The learning rate at the start; it falls to zero along half a cosine.
    """
    adapters = model.adapters.requires_grad_(True)
    optimiser = torch.optim.AdamW(adapters.parameters(), lr=rate, betas=(0.5, 0.999))
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        images, masks = next(pictures)
        loss = adapter_loss(model(images, prompting()), masks)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        plan.step()
        losses.append(float(loss.detach()))
    adapters.requires_grad_(False)
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)
