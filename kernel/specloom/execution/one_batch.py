"""Sources without files: arrays that are there already, and a run of which the data are not."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from specloom.contract.errors import ConfigError
from specloom.contract.nodes import STAGES, Batch
from specloom.contract.ports import Port

IMAGE_AXES = ("B", "H", "W")


class OneBatch:
    """One batch in memory, as every split.

    Args:
        batch: The arrays by name.
        outputs: The ports that the graph may read; those without an array are missing.
        sizes: The sizes of the axes.
    """

    outputs: ClassVar[Mapping[str, Port]] = {}

    def __init__(self, batch: Batch, outputs: Mapping[str, Port], sizes: Mapping[str, int]) -> None:
        self._batch = batch
        self.outputs = dict(outputs)  # type: ignore[misc]  # those of these arrays
        self._sizes = {axis: size for axis, size in sizes.items() if axis not in IMAGE_AXES}

    def sizes(self) -> Mapping[str, int]:
        """The sizes of axes, but for those of the images."""
        return self._sizes

    def splits(self) -> Sequence[str]:
        """All of them."""
        return STAGES

    def count(self, split: str) -> int:
        """One."""
        return 1

    def batches(self, split: str) -> Iterator[Batch]:
        """The batch."""
        yield dict(self._batch)

    def missing_outputs(self, split: str) -> Sequence[str]:
        """The ports without an array."""
        return [name for name in self.outputs if name not in self._batch]


class NoData:
    """The source of a run that was loaded from its folder, or of a pipeline without data.

    Args:
        folder: The folder; None for a pipeline.
        file: The run file that the run was started with, if it was a file.
    """

    outputs: ClassVar[Mapping[str, Port]] = {}

    def __init__(self, folder: Path | None = None, file: str = "") -> None:
        self._folder = folder
        self._file = file

    def sizes(self) -> Mapping[str, int]:
        """None."""
        return {}

    def splits(self) -> Sequence[str]:
        """All of them, so that reading one is the error that says what is missing."""
        return STAGES

    def count(self, split: str) -> int | None:
        """Raise the error.

        Raises:
            ConfigError: There are no data.
        """
        raise self.error()

    def batches(self, split: str) -> Iterator[Any]:
        """Raise the error.

        Raises:
            ConfigError: There are no data.
        """
        raise self.error()

    def error(self) -> ConfigError:
        """The error for what needs data."""
        if self._folder is None:
            fix = "use Run(pipeline.graph(source), source)"
            return ConfigError("a pipeline has no data of its own", fix=fix)
        what = f"the run in {self._folder} was loaded with its results, not with its data"
        fix = "load its run file"
        if self._file:
            fix = f"{fix}: specloom.load({self._file!r})"
        return ConfigError(what, fix=fix)
