"""Made-up scenes for the benchmarks: smooth spectra, mixed, with noise and 2 % of anomalies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: The batches of each size, (B, H, W, C), and how many of them.
SIZES = {
    "tiny": ((1, 8, 8, 61), 1),
    "small": ((1, 100, 100, 61), 1),
    "medium": ((1, 512, 512, 61), 1),
    "large": ((1, 1000, 1000, 200), 1),
    "alike": ((1, 512, 512, 61), 1),
    "batch8": ((8, 256, 256, 61), 1),
    "train": ((4, 128, 128, 61), 8),
    "test": ((2, 16, 16, 7), 2),
}

NOISE = {"alike": 0.01}
"""The share of the usual noise; with little, bands are alike, and scores need float64."""

SOURCES = 7
"""The spectra that are mixed; the last one is that of the anomalies."""


def spectra(channels: int) -> Tensor:
    """Reflectances of a few materials, sums of Gaussian bumps, (SOURCES, C)."""
    random = torch.Generator().manual_seed(77)
    band = torch.linspace(0, 1, channels)
    centre, width, height = (torch.rand(SOURCES, 5, 1, generator=random) for _ in range(3))
    bumps = height * torch.exp(-(((band - centre) / (0.05 + 0.3 * width)) ** 2))
    return 0.05 + 0.25 * bumps.sum(1)


def pixels(
    count: int, channels: int, seed: int = 0, noise_share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Mixed spectra (N, C) in float32, and which of them are anomalies, bool (N,)."""
    random, material = torch.Generator().manual_seed(seed), spectra(channels)
    share = torch.rand(count, SOURCES - 1, generator=random).square()
    rows = (share / share.sum(1, keepdim=True)) @ material[:-1]
    noise = 0.002 + 0.006 * torch.linspace(0, 1, channels)
    rows += noise_share * noise * torch.randn(count, channels, generator=random)
    odd = torch.rand(count, generator=random) < 0.02
    part = 0.1 + 0.3 * torch.rand(int(odd.sum()), 1, generator=random)
    rows[odd] = (1 - part) * rows[odd] + part * material[-1]
    return rows, odd


def cube(height: int, width: int, channels: int, seed: int = 0) -> Tensor:
    """One scene, (1, H, W, C)."""
    return pixels(height * width, channels, seed)[0].view(1, height, width, channels)


def workload(size: str) -> dict[str, Any]:
    """The data of a workload: ``batches``, ``masks``, the number of bands C and of pixels n."""
    (images, height, width, channels), count = SIZES[size]
    found: dict[str, Any] = {"batches": [], "masks": [], "C": channels}
    for seed in range(count):
        rows, odd = pixels(images * height * width, channels, seed, NOISE.get(size, 1.0))
        found["batches"].append(rows.view(images, height, width, channels))
        found["masks"].append(odd.view(images, height, width))
    return {**found, "n": count * images * height * width}


def labelled(count: int, channels: int) -> dict[str, Any]:
    """The data of a band selection: ``X`` (N, C) and ``y`` (N,) in NumPy."""
    rows, odd = pixels(count, channels, 3)
    return {"X": rows.numpy(), "y": odd.numpy(), "C": channels, "n": count}
