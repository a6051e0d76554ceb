"""What the background pixels of a stream are, and what is accumulated of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from specloom import Input, LazyAffine, LazyLinear, node
from specloom_statistics.moments import Moments
from specloom_statistics.node import Accumulator, StreamingNode
from specloom_statistics.sample import PixelSample

Pixels: TypeAlias = Tensor | LazyAffine | LazyLinear
"""Cubes, or cubes with a map of their bands that is left to the readers."""


class PixelAccumulator(Accumulator, Protocol):
    """Statistics of pixels that arrive as cubes."""

    @property
    def count(self) -> int:
        """How many pixels were added."""

    @property
    def left_out(self) -> int:
        """How many pixels were excluded."""

    def update(self, data: Pixels, background: Tensor | None, /) -> None:
        """Add (B, H, W, C) ``data`` where ``background``, bool (B, H, W, 1), is true or None."""


A = TypeVar("A", bound=PixelAccumulator)


@node
class BackgroundNode(StreamingNode[A]):
    """A node that is fitted to the background: the pixels that are valid and no anomaly.

    Write ``fit_start``, which calls ``start_statistics``; and ``fit_end``, which calls
    ``take_background``.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input(
        "B H W 1", "bool", optional=True, for_fit=True, labelled=False, doc="Pixels to fit."
    )
    mask = Input(
        "B H W 1", "bool", optional=True, for_fit=True, doc="Anomalies, which are not fitted."
    )
    locality = "pixel"
    affine_input = "data"

    def fit_update(
        self, data: Pixels, valid: Tensor | None = None, mask: Tensor | None = None
    ) -> None:
        """Add the usable background pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, background_pixels(valid, mask))

    def take_background(self) -> A:
        """The statistics of the fit, which the node no longer holds; it is fitted then.

        Raises:
            NodeError: No fit was started, or the fit saw no usable pixel.
        """
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        return statistics


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

    @property
    def count(self) -> int:
        """How many pixels were added."""
        return self.moments.count

    @property
    def left_out(self) -> int:
        """How many pixels were excluded."""
        return self.moments.left_out

    def update(self, data: Pixels, background: Tensor | None, /) -> None:
        """Add the finite pixels of (B, H, W, C) ``data``.

        Args:
            data: The cubes.
            background: The pixels to use, bool (B, H, W, 1); None for all.
        """
        self.moments.update(data, background)
        raw = data
        if not isinstance(data, Tensor):
            raw = data.data
        for number, image in enumerate(raw):
            keep = None if background is None else background[number].reshape(-1)
            pixels = image.detach().reshape(-1, image.shape[-1])
            self.sample.update(_mapped(pixels, data), keep)

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


def _mapped(pixels: Tensor, data: Pixels) -> Tensor:
    """Pixels (n, C) with the map of their bands applied in float64, if there is one."""
    mapped = pixels
    if isinstance(data, LazyAffine):
        mapped = pixels.double() * data.scale.detach() + data.offset.detach()
    elif isinstance(data, LazyLinear):
        mapped = pixels.double() @ data.matrix.detach().double().T + data.offset.detach()
    return mapped


def background_pixels(valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """The pixels that are valid and no anomaly, bool (B, H, W, 1); None for all."""
    if mask is None:
        return valid
    normal = ~mask
    if valid is None:
        return normal
    return normal & valid
