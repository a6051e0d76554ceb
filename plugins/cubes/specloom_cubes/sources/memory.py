"""Batches that are already there, for tests and examples in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from specloom_cubes.sources.common import WITH_VALID, known_split

if TYPE_CHECKING:
    from specloom import Batch, Port


class InMemory:
    """Gives the batches that it was given.

    Args:
        train: Batches for training: dictionaries with ``cube`` (B, H, W, C), and where they are
            known ``mask`` (B, H, W), ``wavelengths`` (C,) in nm and ``valid`` (B, H, W); NumPy
            arrays or tensors.
        val: Batches for validation.
        test: Batches for the test.
        predict: Batches without an answer; those of the test where left out.
    """

    outputs: ClassVar[Mapping[str, Port]] = WITH_VALID

    def __init__(
        self,
        train: Sequence[Mapping[str, Any]] = (),
        val: Sequence[Mapping[str, Any]] = (),
        test: Sequence[Mapping[str, Any]] = (),
        predict: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.train, self.val, self.test, self.predict = train, val, test, predict

    def _batches(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        predict = self.test if self.predict is None else self.predict
        return {"train": self.train, "val": self.val, "test": self.test, "predict": predict}

    def sizes(self) -> Mapping[str, int]:
        """The sizes that all batches share; the batch axis is not among them."""
        shapes = [batch["cube"].shape for batches in self._batches().values() for batch in batches]
        axes = {
            axis: {shape[at] for shape in shapes} for at, axis in ((1, "H"), (2, "W"), (3, "C"))
        }
        return {axis: int(next(iter(found))) for axis, found in axes.items() if len(found) == 1}

    def splits(self) -> Sequence[str]:
        """The splits that have batches."""
        return [split for split, batches in self._batches().items() if batches]

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        batches = self._batches()
        return len(batches[known_split(split, batches)])

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        batches = self._batches()
        for batch in batches[known_split(split, batches)]:
            yield dict(batch)
