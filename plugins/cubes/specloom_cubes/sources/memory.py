"""Batches that are already there, for tests and examples in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from specloom_cubes.masks import UNLABELLED
from specloom_cubes.sources.common import WITH_VALID, check_same_size, require_split
from specloom_cubes.sources.data_module import DataModule
from specloom_cubes.sources.description import ClassCounts, SplitDescription, wavelength_range

if TYPE_CHECKING:
    from specloom import Batch, Port


BY_IMAGE = ("cube", "mask", "valid")
"""The values of a batch that have one entry for each image."""


class InMemory(DataModule):
    """The batches that it was made with.

    Args:
        train: Batches for training: dictionaries with ``cube`` (B, H, W, C), and where they are
            known ``mask`` (B, H, W), ``wavelengths`` (C,) in nm and ``valid`` (B, H, W); NumPy
            arrays or tensors. Where some batches of a split have masks, those without are
            unlabelled (-1).
        val: Batches for validation.
        test: Batches for the test.
        predict: Batches to predict; by default those of the test.
    """

    outputs: ClassVar[Mapping[str, Port]] = WITH_VALID

    def __init__(
        self,
        train: Sequence[Mapping[str, Any]] = (),
        val: Sequence[Mapping[str, Any]] = (),
        test: Sequence[Mapping[str, Any]] = (),
        predict: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.train = train
        self.val = val
        self.test = test
        self.predict = predict

    def _batches(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        predict = self.test if self.predict is None else self.predict
        return {"train": self.train, "val": self.val, "test": self.test, "predict": predict}

    def _labelled(self, split: str) -> list[Mapping[str, Any]]:
        """The batches of a split, each with a mask where any of them has one."""
        batches = self._batches()
        chosen = list(batches[require_split(split, batches)])
        if not any("mask" in batch for batch in chosen):
            return chosen
        return [_with_mask(batch) for batch in chosen]

    def sizes(self) -> Mapping[str, int]:
        """The sizes that all batches share; the batch axis is not among them."""
        shapes = [batch["cube"].shape for batch in chain.from_iterable(self._batches().values())]
        sizes = {}
        for axis, name in enumerate("BHWC"):
            sizes_of_axis = {int(shape[axis]) for shape in shapes}
            if name != "B" and len(sizes_of_axis) == 1:
                sizes[name] = sizes_of_axis.pop()
        return sizes

    def splits(self) -> Sequence[str]:
        """The splits that have batches."""
        return [split for split, batches in self._batches().items() if batches]

    def describe(self, split: str) -> SplitDescription:
        """The images of a split; the classes of the first ones are counted."""
        batches = self._batches()[require_split(split, self._batches())]
        first = batches[0]
        counts = ClassCounts()
        keys = []
        images = 0
        for number, batch in enumerate(batches):
            images += len(batch["cube"])
            if "mask" not in batch:
                continue
            for at, mask in enumerate(batch["mask"]):
                keys.append((number, at))
                counts.count((number, at), mask.shape, partial(np.asarray, mask))
        wavelengths = None
        if "wavelengths" in first:
            wavelengths = wavelength_range(np.asarray(first["wavelengths"], np.float64))
        return SplitDescription(
            "image",
            [str(number) for number in range(images)],
            counts.describe("memory", keys),
            wavelengths,
            "memory",
            "values in memory",
            bands=int(first["cube"].shape[-1]),
        )

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        batches = self._batches()
        return len(batches[require_split(split, batches)])

    @property
    def batch_size(self) -> int:
        """The images of the first batch there is."""
        for batch in chain.from_iterable(self._batches().values()):
            return int(batch["cube"].shape[0])
        return 1

    def items(self, split: str) -> int:
        """The number of images of a split."""
        batches = self._batches()
        return sum(len(batch["cube"]) for batch in batches[require_split(split, batches)])

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of some images of a split, by their numbers within it, as NumPy arrays.

        Raises:
            DataError: They differ in size.
        """
        places = []
        for batch in self._labelled(split):
            places += [(batch, at) for at in range(len(batch["cube"]))]
        chosen = [places[number] for number in numbers]
        check_same_size([batch["cube"][at] for batch, at in chosen], "use batches of one image")
        found = {}
        for name in BY_IMAGE:
            if all(name in batch for batch, _ in chosen):
                found[name] = np.stack([np.asarray(batch[name][at]) for batch, at in chosen])
        first, _ = chosen[0]
        shared = {name: value for name, value in first.items() if name not in BY_IMAGE}
        return {**shared, **found}

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        for batch in self._labelled(split):
            yield dict(batch)


def _with_mask(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """A batch with a mask, -1 everywhere where it has none."""
    if "mask" in batch:
        return batch
    size = tuple(batch["cube"].shape[:3])
    return {**batch, "mask": np.full(size, UNLABELLED, np.int32)}
