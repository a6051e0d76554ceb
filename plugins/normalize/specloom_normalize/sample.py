"""A bounded random sample of the pixels of a stream, the same in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

SIZE = 32768
"""Pixels kept: a quantile q of the sample is off by about sqrt(q (1 - q) / SIZE) in rank."""


class PixelSample:
    """The pixels with the smallest keys, where each pixel's key is drawn by image and position.

    The generator of an image's keys is seeded with a hash of the image's own bytes, which stands
    for the item's number that a node does not get: order, batch size and split over processes do
    not matter, and equal pixels of an image are drawn independently, so that a common value (a
    background of 0) has its true share. Images that are equal byte for byte draw the same
    positions. As long as there are no more than ``SIZE`` pixels, all of them are kept.

    Args:
        channels: The length of a pixel.
        size: How many pixels are kept.
    """

    def __init__(self, channels: int, size: int = SIZE) -> None:
        self.size = size
        self.keys = torch.empty(0, dtype=torch.float64)
        self.rows = torch.empty(0, channels)
        self._limit = torch.inf

    def update(self, image: Tensor, keep: Tensor | None = None) -> None:
        """Draw from the finite pixels of one ``image`` (N, C).

        Args:
            image: The pixels, float32.
            keep: Pixels that count, bool (N,); None for all.
        """
        image = image.detach().cpu().contiguous()
        digest = hashlib.sha256(image.numpy().data).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        keys = torch.rand(len(image), generator=generator, dtype=torch.float64)
        drawn = keys < self._limit
        if keep is not None:
            drawn &= keep.cpu()
        keys, rows = keys[drawn], image[drawn]
        finite = rows.isfinite().all(1)
        self._take(keys[finite], rows[finite])

    def state(self) -> dict[str, Tensor]:
        """Keys and pixels drawn so far."""
        self._drop()
        return {"keys": self.keys, "rows": self.rows}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another sample."""
        self._take(state["keys"].cpu(), state["rows"].cpu())

    def quantiles(self, low: float, high: float, *, per_channel: bool) -> Tensor:
        """Both quantiles with linear interpolation, float64 (2,) or (2, C)."""
        self._drop()
        values = self.rows.double() if per_channel else self.rows.double().view(-1, 1)
        found = quantiles(values.T, torch.tensor(values.shape[0]), low, high)
        return found if per_channel else found[:, 0]

    def _take(self, keys: Tensor, rows: Tensor) -> None:
        self.keys, self.rows = torch.cat([self.keys, keys]), torch.cat([self.rows, rows])
        # Dropping only at twice the size sorts seldom; which pixels stay does not change.
        if len(self.keys) > 2 * self.size:
            self._drop()

    def _drop(self) -> None:
        if len(self.keys) > self.size:
            kept = self.keys.topk(self.size, largest=False).indices
            self.keys, self.rows = self.keys[kept], self.rows[kept]
            self._limit = float(self.keys.max())


def quantiles(values: Tensor, count: Tensor, low: float, high: float) -> Tensor:
    """Two quantiles with linear interpolation of each row, (2, C), of the numbers in ``values``.

    Args:
        values: (C, N); NaN marks what is left out.
        count: How many numbers each row has, ().
        low: The lower quantile, 0 to 1.
        high: The upper one.
    """
    ranked = values.sort(dim=1).values  # NaN sort last
    found = []
    for share in (low, high):
        place = share * (count.double() - 1).clamp(min=0)
        below = place.floor().long().clamp(max=values.shape[1] - 1)
        above = (below + 1).clamp(max=values.shape[1] - 1)
        left, right = ranked.index_select(1, below[None]), ranked.index_select(1, above[None])
        step = (place - below).to(values.dtype)
        # At a whole place the right neighbour may be NaN, which 0 * NaN would spread.
        found.append(torch.where(step > 0, left + step * (right - left), left)[:, 0])
    return torch.stack(found)
