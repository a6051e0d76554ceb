"""Bounded random samples of pixels of a stream, the same in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_statistics.ranks import quantiles

SIZE = 32768
"""Pixels of a sample: a quantile q is off by about sqrt(q (1 - q) / SIZE) in rank."""

LEAST_ROOM = 1024
"""Rows that are added to a full sample before others are dropped."""


def content_seed(*contents: bytes | memoryview) -> int:
    """A seed that follows from ``contents`` alone, by SHA-256."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return int.from_bytes(digest.digest()[:7], "big")


class SmallestKeys:
    """The rows with the smallest keys of a stream; all of them while they are few.

    With random keys it is a sample without replacement, which does not depend on the order of the
    stream and can be merged.

    Args:
        channels: C, the length of a row.
        size: The number of rows in the sample.
    """

    def __init__(self, channels: int, size: int = SIZE) -> None:
        self.size = size
        self.limit = torch.inf
        """Rows with a key above this are no longer sampled."""
        # Room for more, so that rows are dropped seldom; which rows stay does not change.
        # Memory that was never written to takes no room.
        self._room = size + max(-(-size // 8), LEAST_ROOM)
        self._keys = torch.empty(self._room, dtype=torch.float64)
        self._rows = torch.empty(self._room, channels)
        self._filled = 0

    def __len__(self) -> int:
        return min(self._filled, self.size)

    def add(self, keys: Tensor, rows: Tensor) -> None:
        """Add ``rows`` (N, C) with their ``keys``, float64 (N,)."""
        dtype = torch.promote_types(self._rows.dtype, rows.dtype)
        if dtype != self._rows.dtype:
            self._rows = self._rows.to(dtype)
        added = 0
        while added < len(keys):
            start = self._filled
            count = min(self._room - start, len(keys) - added)
            self._keys[start : start + count] = keys[added : added + count]
            self._rows[start : start + count] = rows[added : added + count]
            self._filled += count
            if self._filled == self._room:
                self._drop_largest()
            added += count

    def lower_limit(self) -> None:
        """Lower ``limit`` to the largest key of the sample, if there are enough rows."""
        self._drop_largest()

    def keys(self) -> Tensor:
        """The keys of the sample, (n,)."""
        self._drop_largest()
        return self._keys[: self._filled]

    def rows(self) -> Tensor:
        """The rows of the sample, (n, C), in the order of ``keys``."""
        self._drop_largest()
        return self._rows[: self._filled]

    def _drop_largest(self) -> None:
        if self._filled < self.size:
            return
        keys = self._keys[: self._filled]
        rows = self._rows[: self._filled]
        order = np.argpartition(keys.numpy(), self.size - 1)
        self.limit = float(keys[order[self.size - 1]])
        # Rows of the sample that lie too far back move into the places of those to drop.
        sampled = torch.from_numpy(order[: self.size])
        dropped = torch.from_numpy(order[self.size :])
        moved = sampled[sampled >= self.size]
        places = dropped[dropped < self.size]
        keys[places] = keys[moved]
        rows[places] = rows[moved]
        self._filled = self.size


class PixelSample:
    """A sample of pixels, where each pixel's key is drawn by image and position.

    The generator of an image's keys is seeded with a hash of the image's own bytes, which stands
    for the number of the item, which a node does not get: order, batch size and split over
    processes do not matter, and equal pixels of an image are drawn independently, so that a
    common value (a background of 0) has its true share. Images that are equal byte for byte draw
    the same positions. As long as there are no more than ``size`` pixels, the sample is complete.

    Args:
        channels: C, the length of a pixel.
        size: The number of pixels in the sample.
        salt: Other bytes draw other pixels.
    """

    def __init__(self, channels: int, size: int = SIZE, *, salt: bytes = b"") -> None:
        self._sample = SmallestKeys(channels, size)
        self._salt = salt

    def update(self, image: Tensor, keep: Tensor | None = None) -> None:
        """Draw from the finite pixels of one ``image`` (N, C).

        Args:
            image: The pixels.
            keep: The pixels to use, bool (N,); None for all.
        """
        image = image.detach().cpu().contiguous()
        generator = torch.Generator().manual_seed(content_seed(self._salt, image.numpy().data))
        keys = torch.rand(len(image), generator=generator, dtype=torch.float64)
        drawn = keys < self._sample.limit
        if keep is not None:
            drawn &= keep.cpu()
        rows = image[drawn]
        finite = usable_pixels(rows)
        self._sample.add(keys[drawn][finite], rows[finite])

    def quantiles(self, low: float, high: float, *, per_channel: bool) -> Tensor:
        """Both quantiles with linear interpolation, float64 (2,) or (2, C)."""
        rows = self._sample.rows().double()
        values = rows if per_channel else rows.view(-1, 1)
        pair = quantiles(values.T, torch.tensor(len(values)), low, high)
        return pair if per_channel else pair[:, 0]

    def state(self) -> dict[str, Tensor]:
        """Keys and pixels drawn so far."""
        return {"keys": self._sample.keys(), "rows": self._sample.rows()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another sample."""
        self._sample.add(state["keys"].cpu(), state["rows"].cpu())
