"""What data modules of other libraries offer: a set-up, and a loader for each split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, did_you_mean

if TYPE_CHECKING:
    from specloom import Batch, Source

STAGES: Mapping[str, Sequence[str]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""The stages of a data module, and the splits that each needs."""


class Loader:
    """The batches of a split as tensors, read again in each iteration.

    Args:
        source: The source.
        split: The split.
    """

    def __init__(self, source: Source, split: str) -> None:
        self._source = source
        self._split = split

    def __len__(self) -> int:
        """The number of batches.

        Raises:
            TypeError: The source does not know it.
        """
        count = self._source.count(self._split)
        if count is None:
            raise TypeError(f"the number of batches of {self._split!r} is not known")
        return count

    def __iter__(self) -> Iterator[Batch]:
        """Read the split, batch by batch."""
        for batch in self._source.batches(self._split):
            yield {name: _as_tensor(value) for name, value in batch.items()}


class DataModule:
    """The methods of a data module, for every source.

    ``datamodule.setup("fit")``, then ``for batch in datamodule.train_loader()``. Trainers need
    neither: they read a source by ``batches``.
    """

    def setup(self: Any, stage: str | None = None) -> None:
        """Fail now rather than later where data are missing.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``; None for what there is.

        Raises:
            ConfigError: There is no such stage, or the data have no split for it.
            SpecloomError: The data cannot be used.
        """
        if stage is not None and stage not in STAGES:
            fix = did_you_mean(stage, STAGES)
            raise ConfigError(f"there is no stage {stage!r} of a data module", fix=fix)
        sizes = self.sizes()
        splits = list(self.splits())
        if not sizes:
            for split in splits:
                next(iter(self.batches(split)), None)  # an absent file is an error here
        if stage is not None and not set(STAGES[stage]) & set(splits):
            what = f"the stage {stage!r} needs the split {STAGES[stage][0]!r}, which is empty"
            raise ConfigError(what, fix="change how the data are split")

    def train_loader(self: Any) -> Loader:
        """The batches for training."""
        return Loader(self, "train")

    def val_loader(self: Any) -> Loader:
        """The batches for validation."""
        return Loader(self, "val")

    def test_loader(self: Any) -> Loader:
        """The batches of the test."""
        return Loader(self, "test")

    def predict_loader(self: Any) -> Loader:
        """The batches to predict."""
        return Loader(self, "predict")


def _as_tensor(value: Any) -> Any:
    """An array as a tensor without a copy where none is needed; anything else as it is."""
    import torch

    if not isinstance(value, np.ndarray):
        return value
    native = np.require(value, value.dtype.newbyteorder("="), ["C", "W"])
    return torch.from_numpy(native)
