"""The training of adapters: the losses of the recipe, and the steps over pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from specloom_adaclip.model.adaclip import AdaCLIP, EncodedSentences, Prediction


def focal_loss(probabilities: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Return the focal loss of class probabilities (B, 2, ...) for bool targets (B, ...).

    Source: T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object
    detection", ICCV 2017, eq. 4, smoothed as in AdaCLIP's recipe.
    """
    one_hot = torch.stack([~target, target], 1).to(probabilities.dtype).clamp(1e-5, 1 - 1e-5)
    of_target = (one_hot * probabilities).sum(1) + 1e-5
    weight = (1 - of_target).clamp(min=0) ** gamma
    return (-weight * of_target.log()).mean()


def dice_loss(probability: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Return one minus the Dice coefficient of maps (B, H, W), for each image, averaged.

    Source: F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net", 3DV 2016, smoothed.
    """
    truth = target.to(probability.dtype).flatten(1)
    predicted = probability.flatten(1)
    intersection = (predicted * truth).sum(1)
    total = predicted.sum(1) + truth.sum(1)
    return (1 - (2 * intersection + smooth) / (total + smooth)).mean()


def adapter_loss(prediction: Prediction, masks: Tensor) -> Tensor:
    """Return the loss of the recipe for bool masks (B, S, S): image score, and each tap's maps."""
    loss = focal_loss(prediction.score, masks.flatten(1).any(1))
    for maps in prediction.layer_maps(masks.shape[-1]):
        loss = loss + focal_loss(maps, masks)
        loss = loss + dice_loss(maps[:, 1], masks) + dice_loss(maps[:, 0], ~masks)
    return loss


def train_adapters(
    model: AdaCLIP,
    encode_sentences: Callable[[], EncodedSentences],
    pictures: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    rate: float = 0.01,
) -> float:
    """Train the adapters alone with AdamW, and return the mean loss of the last tenth.

    Args:
        model: The model; its adapters change.
        encode_sentences: Encodes the sentences again in each step.
        pictures: Normalised images (B, 3, S, S) with their masks (B, S, S), without end.
        steps: The number of batches.
        rate: The learning rate at the start; it falls to zero along half a cosine.
    """
    adapters = model.adapters.requires_grad_(True)
    optimiser = torch.optim.AdamW(adapters.parameters(), lr=rate, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        images, masks = next(pictures)
        loss = adapter_loss(model(images, encode_sentences()), masks)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    adapters.requires_grad_(False)
    last_tenth = losses[-max(1, steps // 10) :]
    return sum(last_tenth) / len(last_tenth)
