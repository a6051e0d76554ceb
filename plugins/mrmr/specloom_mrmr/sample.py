"""A bounded random sample of each class of a stream, the same in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from specloom import DataError

SIZE = 32768
"""Pixels kept of each class."""

SHOWN = 5
SPREAD = 4096
"""Pixels of an image that seed its keys."""


class ClassSample:
    """Of each class the pixels with the smallest keys, drawn by image and position.

    The generator of an image's keys is seeded with a hash of pixels spread over the image, which
    stands for the number of the item that a node does not get: order, batch size and split over
    processes do not matter, and a hot pixel seldom changes what is drawn. As long as a class has
    no more than ``size`` pixels, all of them are kept.

    Args:
        channels: The length of a pixel.
        size: How many pixels of each class are kept.
    """

    def __init__(self, channels: int, size: int = SIZE) -> None:
        self.size = size
        # An eighth more, so that what is too much is dropped seldom; which pixels stay does not
        # change. Memory that was never written to takes no room.
        self._room = size + -(-size // 8)
        self._keys = torch.empty(2, self._room, dtype=torch.float64)
        self._rows = torch.empty(2, self._room, channels)
        self._filled = [0, 0]
        self.finite = torch.zeros(2, channels, dtype=torch.bool)
        """The bands in which a pixel of each class was finite, as long as none is kept."""
        self._limits = torch.full((2,), torch.inf, dtype=torch.float64)

    def update(self, image: Tensor, positive: Tensor, keep: Tensor | None = None) -> None:
        """Draw from the finite pixels of one ``image`` (N, C).

        Args:
            image: The pixels, float32.
            positive: The class of each, bool (N,).
            keep: Pixels that count, bool (N,); None for all.
        """
        image, labels = image.detach(), positive.cpu()
        kept = None if keep is None else keep.cpu()
        generator = torch.Generator().manual_seed(seed_of(image))
        keys = torch.rand(len(image), generator=generator, dtype=torch.float64)
        for label, mine in enumerate((~labels, labels)):
            drawn = mine & (keys < self._limits[label])
            if kept is not None:
                drawn &= kept
            for places in _smallest_first(drawn.nonzero()[:, 0], keys, self.size):
                places = places[keys[places] < self._limits[label]]
                rows = image.index_select(0, places.to(image.device)).cpu()
                # A sum is finite only where all terms are; where it overflows, look closely.
                if not bool(rows.sum(1).isfinite().all()):
                    finite = rows.isfinite()
                    self.finite[label] |= finite.any(0)
                    rows, places = rows[finite.all(1)], places[finite.all(1)]
                self._take(label, keys[places], rows)

    def rows(self, label: int) -> Tensor:
        """The pixels drawn of class 0 or 1, (n, C)."""
        self._drop(label)
        return self._rows[label, : self._filled[label]]

    def keys(self, label: int) -> Tensor:
        """Their keys, (n,)."""
        self._drop(label)
        return self._keys[label, : self._filled[label]]

    def pooled(self) -> Tensor:
        """Pixels of both classes in their true shares, (n, C)."""
        rows, keys = zip(*((self.rows(label), self.keys(label)) for label in range(2)), strict=True)
        limit = self._limits.min()
        return torch.cat([some[mine <= limit] for some, mine in zip(rows, keys, strict=True)])

    def quantiles(self, shares: tuple[float, float]) -> Tensor:
        """Two quantiles of each band over both classes, with linear interpolation, (2, C)."""
        ranked = self.pooled().T.contiguous().sort(1).values
        places = torch.tensor(shares, dtype=torch.float64) * (ranked.shape[1] - 1)
        below = places.floor().long()
        above = (below + 1).clamp(max=ranked.shape[1] - 1)
        step = (places - below).to(ranked.dtype)
        return torch.lerp(ranked[:, below], ranked[:, above], step).T.contiguous()

    def state(self) -> dict[str, Tensor]:
        """Keys and pixels drawn so far."""
        rows = {f"rows{label}": self.rows(label) for label in range(2)}
        keys = {f"keys{label}": self.keys(label) for label in range(2)}
        return {**rows, **keys, "finite": self.finite}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another sample."""
        self.finite |= state["finite"].cpu()
        for label in range(2):
            self._take(label, state[f"keys{label}"].cpu(), state[f"rows{label}"].cpu())

    def _take(self, label: int, keys: Tensor, rows: Tensor) -> None:
        while len(keys):
            start = self._filled[label]
            count = min(self._room - start, len(keys))
            self._keys[label, start : start + count] = keys[:count]
            self._rows[label, start : start + count] = rows[:count]
            self._filled[label] += count
            if self._filled[label] == self._room:
                self._drop(label)
            keys, rows = keys[count:], rows[count:]

    def _drop(self, label: int) -> None:
        if (filled := self._filled[label]) < self.size:
            return
        keys, rows = self._keys[label, :filled], self._rows[label, :filled]
        order = np.argpartition(keys.numpy(), self.size - 1)
        self._limits[label] = keys[order[self.size - 1]]
        # Those to keep that lie too far back move into the places of those to drop.
        stays, goes = (torch.from_numpy(some) for some in np.split(order, [self.size]))
        moved, holes = stays[stays >= self.size], goes[goes < self.size]
        keys[holes], rows[holes] = keys[moved], rows[moved]
        self._filled[label] = self.size


def _smallest_first(places: Tensor, keys: Tensor, count: int) -> Iterator[Tensor]:
    """The ``places``, in parts; first the ``count`` with the smallest keys."""
    if len(places) > count:
        order = torch.from_numpy(np.argpartition(keys[places].numpy(), count - 1))
        places = places[order]
    yield from torch.split(places, count)


def check_classes(node: str, sample: ClassSample, seen: Tensor, centres: Sequence[float]) -> None:
    """Raise DataError unless both classes have usable pixels.

    Args:
        node: What is fitted.
        sample: What was drawn.
        seen: How many pixels ``valid`` left out, and how many are of class 0 and of class 1.
        centres: The wavelengths in nm; empty where nobody knows them.
    """
    left_out, *counts = seen.tolist()
    labelled = sum(counts)
    if not labelled:
        what = f"{node} was given no labelled pixel: 'valid' leaves out all {left_out}"
        raise DataError(what, fix="use training data with labels")
    for label, name in enumerate(("False", "True")):
        if not counts[label]:
            what = (
                f"{node} needs two classes: 'mask' is nowhere {name} in {labelled} labelled pixels"
            )
            raise DataError(what, fix="use training data with pixels of both classes")
        if not len(sample.rows(label)):
            what = f"{node}: the {counts[label]} pixels where 'mask' is {name} are NaN in"
            empty = (~sample.finite[label]).nonzero()[:, 0].tolist()
            bands = ", ".join(_named(band, centres) for band in empty[:SHOWN])
            more = f" and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
            which = f"the whole of band {bands}{more}" if empty else "some band each"
            raise DataError(
                f"{what} {which}", fix="drop bands that hold no data, or use other training data"
            )


def _named(band: int, centres: Sequence[float]) -> str:
    return f"{band} ({centres[band]:g} nm)" if centres else str(band)


def seed_of(image: Tensor) -> int:
    """A number that follows from the pixels (N, C), and seldom from a single one of them."""
    step = -(-len(image) // SPREAD) | 1
    spread = image[step // 2 :: step].cpu().contiguous()
    digest = hashlib.sha256(f"{len(image)}/".encode())
    digest.update(spread.numpy().data)
    return int.from_bytes(digest.digest()[:7], "big")
