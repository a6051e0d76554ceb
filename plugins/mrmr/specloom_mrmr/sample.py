"""A bounded random sample of each class of a stream, the same in any order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from specloom import DataError
from specloom.torch import map_blocks, no_memory, usable_pixels
from specloom_statistics import SmallestKeys, content_seed

SIZE = 32768
"""Pixels sampled of each class."""

SHOWN_BANDS = 5
SORTED_BANDS = 8
"""Bands that a thread sorts at a time."""
LIKELY = 8
"""Standard deviations of the number of keys below a limit."""
SEED_PIXELS = 4096
"""Pixels of an image that seed its keys."""


class ClassSample:
    """A sample of the pixels of each class, where each pixel's key is drawn by image and position.

    The generator of an image's keys is seeded with a hash of pixels spread over the image, which
    stands for the number of the item, which a node does not get: order, batch size and split over
    processes do not matter, and a hot pixel seldom changes what is drawn. As long as a class has
    no more than ``size`` pixels, its sample is complete.

    Args:
        channels: C, the length of a pixel.
        size: The number of pixels of each class in the sample.
    """

    def __init__(self, channels: int, size: int = SIZE) -> None:
        self.size = size
        self._samples = [SmallestKeys(channels, size) for _ in range(2)]
        self.finite = torch.zeros(2, channels, dtype=torch.bool)
        """The bands in which an excluded pixel of each class was finite."""

    def update(self, image: Tensor, positive: Tensor, keep: Tensor | None = None) -> None:
        """Draw from the finite pixels of one ``image`` (N, C).

        Args:
            image: The pixels, float32.
            positive: The class of each, bool (N,).
            keep: The pixels to use, bool (N,); None for all.
        """
        image = image.detach()
        labels = positive.cpu()
        usable = None if keep is None else keep.cpu()
        generator = torch.Generator().manual_seed(seed_of(image))
        keys = torch.rand(len(image), generator=generator, dtype=torch.float64)

        def draw(label: int, _: None) -> None:
            members = labels if label else ~labels
            if usable is not None:
                members = members & usable
            for places in self._candidates(members, keys, self._samples[label]):
                self._draw(label, image, keys, places)

        map_blocks(draw, len(self._samples), no_memory)

    def _candidates(self, members: Tensor, keys: Tensor, sample: SmallestKeys) -> Iterator[Tensor]:
        """The places of pixels that may be drawn, in parts; first those with the smallest keys.

        A full sample needs no later parts, and where keys are even few are looked at.

        Args:
            members: The pixels of the class, bool (N,).
            keys: The key of each pixel, (N,).
            sample: The sample so far.
        """
        likely = _likely_limit(int(members.count_nonzero()), self.size)
        yield from self._below(sample, members & (keys < min(likely, sample.limit)), keys)
        if likely >= min(sample.limit, 1):
            return
        sample.lower_limit()
        if likely < sample.limit:
            yield from self._below(sample, members & (keys >= likely), keys)

    def _below(self, sample: SmallestKeys, drawn: Tensor, keys: Tensor) -> Iterator[Tensor]:
        """The places of the pixels ``drawn``, bool (N,), in parts, of those below the limit."""
        for places in _smallest_first(drawn.nonzero()[:, 0], keys, self.size):
            yield places[keys[places] < sample.limit]

    def _draw(self, label: int, image: Tensor, keys: Tensor, places: Tensor) -> None:
        rows = image.index_select(0, places.to(image.device)).cpu()
        # A sum is finite only where all terms are; where it overflows, each row is checked.
        if not bool(rows.sum(1).isfinite().all()):
            self.finite[label] |= rows.isfinite().any(0)
            finite = usable_pixels(rows)
            rows = rows[finite]
            places = places[finite]
        self._samples[label].add(keys[places], rows.float())

    def rows(self, label: int) -> Tensor:
        """The pixels drawn of class 0 or 1, (n, C)."""
        return self._samples[label].rows()

    def keys(self, label: int) -> Tensor:
        """Their keys, (n,)."""
        return self._samples[label].keys()

    def pooled(self) -> Tensor:
        """Pixels of both classes in their true shares, (n, C)."""
        rows = [self.rows(label) for label in range(2)]
        keys = [self.keys(label) for label in range(2)]
        limit = min(sample.limit for sample in self._samples)
        return torch.cat([rows[label][keys[label] <= limit] for label in range(2)])

    def quantiles(self, shares: tuple[float, float]) -> Tensor:
        """Two quantiles of each band over both classes, with linear interpolation, (2, C)."""
        columns = self.pooled().T.contiguous()
        starts = range(0, len(columns), SORTED_BANDS)

        def sort(number: int, _: None) -> Tensor:
            some = columns[starts[number] : starts[number] + SORTED_BANDS]
            # NumPy sorts plain numbers four times as fast as torch, which also gives places.
            return torch.from_numpy(np.sort(some.numpy()))

        ranked = torch.cat(map_blocks(sort, len(starts), no_memory))
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
        """Add the ``state()`` of another sample."""
        self.finite |= state["finite"].cpu()
        for label, sample in enumerate(self._samples):
            sample.add(state[f"keys{label}"].cpu(), state[f"rows{label}"].cpu())


def _likely_limit(count: int, size: int) -> float:
    """The limit that at least ``size`` of ``count`` even keys are below, most likely."""
    return (size + LIKELY * math.sqrt(size)) / max(count, 1)


def _smallest_first(places: Tensor, keys: Tensor, count: int) -> Iterator[Tensor]:
    """The ``places``, in parts; first the ``count`` with the smallest keys."""
    if len(places) > count:
        order = torch.from_numpy(np.argpartition(keys[places].numpy(), count - 1))
        places = places[order]
    yield from torch.split(places, count)


def check_classes(node: str, sample: ClassSample, pixels: Tensor, centres: Sequence[float]) -> None:
    """Raise DataError unless both classes have usable pixels.

    Args:
        node: The name of the node.
        sample: The pixels drawn.
        pixels: How many pixels ``valid`` or ``labelled`` excluded, and how many are of class 0
            and of class 1.
        centres: The wavelengths in nm; empty where they are not known.
    """
    excluded, *counts = pixels.tolist()
    labelled = sum(counts)
    if not labelled:
        what = f"{node} has no labelled pixel: 'valid' or 'labelled' excludes all {excluded}"
        raise DataError(what, fix="use training data with labels")
    for label, name in enumerate(("False", "True")):
        if not counts[label]:
            what = (
                f"{node} needs two classes: 'mask' is nowhere {name} in {labelled} labelled pixels"
            )
            raise DataError(what, fix="use training data with pixels of both classes")
        if not len(sample.rows(label)):
            bands = _bands_without_data(sample.finite[label], centres)
            what = f"{node}: the {counts[label]} pixels where 'mask' is {name} are NaN in {bands}"
            fix = "drop bands that hold no data, or use other training data"
            raise DataError(what, fix=fix)


def _bands_without_data(finite: Tensor, centres: Sequence[float]) -> str:
    """The bands in which no pixel is ``finite``, bool (C,), in words."""
    empty = (~finite).nonzero()[:, 0].tolist()
    if not empty:
        return "some band each"
    names = ", ".join(_band_name(band, centres) for band in empty[:SHOWN_BANDS])
    more = ""
    if len(empty) > SHOWN_BANDS:
        more = f" and {len(empty) - SHOWN_BANDS} more"
    return f"the whole of band {names}{more}"


def _band_name(band: int, centres: Sequence[float]) -> str:
    if not centres:
        return str(band)
    return f"{band} ({centres[band]:g} nm)"


def seed_of(image: Tensor) -> int:
    """A seed that follows from the pixels (N, C), and seldom from a single one of them."""
    step = -(-len(image) // SEED_PIXELS) | 1
    pixels = image[step // 2 :: step].cpu().contiguous()
    return content_seed(f"{len(image)}/".encode(), pixels.numpy().data)
