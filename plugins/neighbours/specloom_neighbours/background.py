"""Moments and a bounded sample of the background pixels of a stream."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from specloom import LazyAffine
from specloom_statistics import Moments, PixelSample


class BackgroundSample:
    """Moments and a bounded random sample of the background, which merge.

    Args:
        channels: C, the length of a pixel.
        size: The number of pixels in the sample.
        random_state: Another number draws other pixels.
        device: The device of the moments; the sample is on the CPU.
    """

    def __init__(
        self, channels: int, size: int, random_state: int, device: torch.device | str = "cpu"
    ) -> None:
        self.moments = Moments(channels, device)
        self.sample = PixelSample(channels, size, salt=f"{random_state}/".encode())

    def update(self, data: Tensor | LazyAffine, background: Tensor | None) -> None:
        """Add the finite pixels of (B, H, W, C) ``data``.

        Args:
            data: The cubes.
            background: The pixels to use, bool (B, H, W, 1); None for all.
        """
        self.moments.update(data, background)
        raw = data.data if isinstance(data, LazyAffine) else data
        for number, image in enumerate(raw):
            keep = None if background is None else background[number].reshape(-1)
            pixels = image.detach().reshape(-1, image.shape[-1])
            if isinstance(data, LazyAffine):
                pixels = pixels.double() * data.scale.detach() + data.offset.detach()
            self.sample.update(pixels, keep)

    def spectra(self) -> Tensor:
        """The sample in float64, (n, C), in an order that follows from the spectra alone."""
        rows = self.sample.state()["rows"].double()
        columns = rows.flip(1).T.numpy()
        order = torch.from_numpy(np.lexsort(columns))
        return rows[order]

    def state(self) -> dict[str, Tensor]:
        """Moments and sample so far."""
        return {**self.moments.state(), **self.sample.state()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self.moments.merge(state)
        self.sample.merge(state)


def background_pixels(valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """The pixels that are valid and no anomaly, bool (B, H, W, 1); None for all."""
    if mask is None:
        return valid
    normal = ~mask
    if valid is None:
        return normal
    return normal & valid


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
