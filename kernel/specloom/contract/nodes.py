"""What a node is, and what every kind of node may have: structure, not inheritance.

``Node`` is all that the kernel needs. Each other Protocol here names members that a class may have
or leave out; the kernel and the plugins look them up by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.errors import SpecloomError
    from specloom.contract.ports import Port

#: Anything with ``.shape`` and ``.dtype``. The kernel never looks inside.
Array: TypeAlias = Any

#: Values by port name.
Batch: TypeAlias = Mapping[str, Any]

STAGES = ("train", "val", "test", "predict")


@runtime_checkable
class Node(Protocol):
    """A named computation with typed ports.

    ``__init__`` stores each argument under its own name and does nothing else.
    """

    inputs: ClassVar[Mapping[str, Port]]
    """The input ports by name; ``Input`` descriptors make this mapping."""

    outputs: ClassVar[Mapping[str, Port]]
    """The output ports by name; ``Output`` descriptors make this mapping."""

    def forward(self, **arrays: Array) -> Batch:
        """Make all outputs from the inputs; an optional input that is not there is omitted."""


class Named(Protocol):
    """A node that knows its name."""

    name: str
    """The name in the graph, which sets it; ``name=`` of every ``Ported`` class."""


class Buildable(Protocol):
    """A node that allocates what depends on sizes."""

    built_for: Mapping[str, int]
    """The sizes that the node was built for; the kernel sets it after ``build``."""

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check parameters and register buffers; called once, with the sizes of all axes."""


class SizesOutputs(Protocol):
    """A node of which an output axis is a formula of parameters and other sizes."""

    @classmethod
    def sizes(cls, params: Mapping[str, Any], known: Mapping[str, int]) -> Mapping[str, int]:
        """Sizes of output axes, from the parameters and the sizes known so far."""


class Preparable(Protocol):
    """A node that loads something before the first batch."""

    def prepare(self, device: str) -> None:
        """Load weights and the like; called before the first batch."""


class Seedable(Protocol):
    """A node with random numbers of its own."""

    def seed(self, seed: int) -> None:
        """Start the node's generator; called by the run, with a seed made of the node's name."""


class ReadsFiles(Protocol):
    """A node that reads files, such as weights; or a source of which files may be absent."""

    def missing(self) -> Iterable[SpecloomError]:
        """An error for each file that is not there; called before a run, also by ``check``."""


class SetupNotes(Protocol):
    """A node that has something to say of its parameters before a run."""

    def setup_notes(self) -> Iterable[SpecloomError]:
        """What a user should know of them, as warnings of every run, ``check`` and ``predict``."""


class ChecksData(Protocol):
    """A node that finds out from descriptions whether the data fit its parameters."""

    def data_notes(self, splits: Mapping[str, Mapping[str, Any]]) -> Iterable[SpecloomError]:
        """What does not fit, as warnings; ``splits`` has the values of each split's description."""


class LooksAtBatches(Protocol):
    """An entry node that looks at batches as the source returns them."""

    def look_at_batch(self, batch: Batch) -> None:
        """Warn of what is in a batch; called before it goes to the device, in no prediction.

        So no pass waits for a device on account of a warning.
        """


class EntryNode(Protocol):
    """A node that takes its inputs from the batch by name, without connections."""

    entry: ClassVar[bool]
    """True: inputs are fed from the source's outputs of the same names."""


class Staged(Protocol):
    """A node that does not run in every stage."""

    stages: tuple[str, ...]
    """The stages in which it runs, of ``train``, ``val``, ``test`` and ``predict``."""


class Local(Protocol):
    """A node that says what one output pixel depends on, so that large scenes can be tiled."""

    locality: Literal["pixel", "halo", "image", "batch"]
    """What an output pixel depends on: its pixel, a neighbourhood, the image, or the batch."""

    halo: int
    """The pixels around an output pixel that it depends on, where ``locality`` is ``halo``."""


class StripPasses(Protocol):
    """The work of a node on one image that comes twice, in the same strips of rows, from the top.

    The arrays of a strip come by the names of the node's inputs, with the axes of its ports, ``B``
    being 1 and ``H`` the rows of the strip.
    """

    def scan(self, *none: Array, **arrays: Array) -> None:
        """Take in the next strip, in the first pass."""

    def join(self) -> None:
        """The first pass is over, and the strips come again."""

    def apply(self, *none: Array, **arrays: Array) -> Batch:
        """The outputs for the next strip, in the second pass."""


@runtime_checkable
class StripWise(Protocol):
    """A node of the locality ``image`` that can work on scenes which are larger than memory."""

    def strip_passes(self) -> StripPasses:
        """The work on one image, strip by strip; its outputs equal ``forward`` bit for bit."""


class ArrayLibrary(Protocol):
    """A node that works on other arrays than torch tensors."""

    array_library: ClassVar[Literal["torch", "numpy"]]
    """``numpy``: ``forward`` takes and returns NumPy arrays; the runtime converts them."""


class Renamed(Protocol):
    """A class of which ports or parameters had other names in earlier versions."""

    renamed: ClassVar[Mapping[str, str]]
    """Old names of ports and parameters, each with the present one; they work with a warning."""


class EarlierDefaults(Protocol):
    """A node with parameters that are new, or that had other defaults in earlier versions."""

    earlier_defaults: ClassVar[Mapping[str, object]]
    """Such parameters, each with its value in saved pipelines that do not state it.

    From then on, saved pipelines state them always."""


class PythonOnly(Protocol):
    """A class with parameters that a run file cannot have."""

    python_only: ClassVar[tuple[str, ...]]
    """Names of parameters that only Python can pass, such as objects."""


class Example(Protocol):
    """A class that the conformance kit can make and run."""

    example: ClassVar[Mapping[str, object]]
    """Parameters with which the conformance kit makes one; also a function without arguments."""

    def example_batch(self, sizes: Mapping[str, int]) -> Batch:
        """Input arrays for the conformance kit, where random ones would not do."""
