"""What a source of batches is, and what it may say of its data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch
    from specloom.contract.ports import Port


@runtime_checkable
class Source(Protocol):
    """Where batches come from."""

    outputs: ClassVar[Mapping[str, Port]]
    """What a batch has, by name."""

    def sizes(self) -> Mapping[str, int]:
        """Sizes of output axes as the files' headers give them; empty where files are absent."""

    def splits(self) -> Iterable[str]:
        """The splits that it has, of ``train``, ``val``, ``test`` and ``predict``."""

    def count(self, split: str) -> int | None:
        """The number of batches in a split, or None where it is unknown."""

    def batches(self, split: str) -> Iterator[Batch]:
        """Read a split, batch by batch; keys are the names of ``outputs``."""


@runtime_checkable
class MapStyleSource(Protocol):
    """A source whose images can be read in any order, for shuffling and for several processes."""

    batch_size: int
    """The number of images of a batch."""

    def items(self, split: str) -> int:
        """The number of images of a split."""

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of the images with these numbers, counted from 0, in this order."""


class SourceNotes(Protocol):
    """A source that has something to say before a run."""

    def notes(self) -> Iterable[str]:
        """What a user should know of these data, one line each; ``specloom check`` prints it."""


class MissingOutputs(Protocol):
    """A source of which some splits lack an output, such as masks."""

    def missing_outputs(self, split: str) -> Iterable[str]:
        """Names of outputs that no image of the split has; what needs them is then skipped."""


class AbsentOutputs(Protocol):
    """A source that lacks an output in every batch, without which a node cannot run."""

    def absent_outputs(self) -> Mapping[str, str]:
        """Outputs that no batch has, each with the fix; a node that needs one is an error."""


class DescribedSplit(Protocol):
    """What a split holds, as its files state it."""

    def line(self) -> str:
        """The description in one line without the name of the split, for the console."""

    def details(self) -> Iterable[str]:
        """Everything else that a user may want to know, one line each, for ``run -v``."""

    def values(self) -> Mapping[str, Any]:
        """The whole description as plain values, for ``run.json`` and the report."""


@runtime_checkable
class DescribesSplits(Protocol):
    """A source that describes its splits without reading pixels of images."""

    def describe(self, split: str) -> DescribedSplit | None:
        """The description of a split; None where its files are absent."""


class ReadOptions(Protocol):
    """A source whose files can be read in several ways, such as with and without their scale."""

    def read_options(self) -> Mapping[str, Any]:
        """How its files are read, as plain values; a saved pipeline has them for predictions."""


def read_options_of(source: Source) -> dict[str, Any]:
    """How a source's files are read; empty where it does not say."""
    read_options = getattr(source, "read_options", None)
    if read_options is None:
        return {}
    return dict(read_options())


def missing_by_split(source: Source) -> dict[str, list[str]]:
    """By split, what the source says that none of its images has."""
    missing_outputs = getattr(source, "missing_outputs", None)
    if missing_outputs is None:
        return {}
    return {split: list(missing_outputs(split)) for split in source.splits()}
