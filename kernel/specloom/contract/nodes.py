"""What the kernel asks of a node, a source, a loss and a trainer: structure, not inheritance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.errors import SpecloomError
    from specloom.contract.ports import Port
    from specloom.execution.run import Run
    from specloom.graph.graph import Graph

#: Anything with ``.shape`` and ``.dtype``. The kernel never looks inside.
Array: TypeAlias = Any

#: Values by port name.
Batch: TypeAlias = Mapping[str, Any]

STAGES = ("train", "val", "test", "predict")


class WithPorts(Protocol):
    """What has inputs and outputs: every node."""

    @property
    def inputs(self) -> Mapping[str, Port]:
        """The input ports by name."""

    @property
    def outputs(self) -> Mapping[str, Port]:
        """The output ports by name."""


@runtime_checkable
class Node(Protocol):
    """A named computation with typed ports.

    ``__init__`` stores each argument under its own name and does nothing else. A class may also
    have: ``build(sizes)``, called once with the sizes of all its axes; ``prepare(device)``, called
    before the first batch (to load weights); ``sizes(params, known)``, a classmethod that gives
    the sizes of output axes that are formulas; ``entry = True``, for a node that takes its inputs
    from the batch by name; ``stages``, the stages in which it runs; ``locality``, one of
    ``pixel``, ``halo``, ``image`` and ``batch`` (what an output pixel depends on), with ``halo``
    the number of pixels around it; ``array_library = "numpy"``, for a node that takes and gives
    NumPy arrays; ``renamed``, old names of ports and parameters, each with the present one, which
    go on working with a warning; ``missing()``, which gives an error for each file of weights that
    is not there;
    ``example``, parameters with which the conformance kit can make one.
    """

    inputs: ClassVar[Mapping[str, Port]]
    outputs: ClassVar[Mapping[str, Port]]

    def forward(self, **arrays: Array) -> Batch:
        """Make the outputs from the inputs; an optional input that is not there is left out."""


@runtime_checkable
class Fittable(Protocol):
    """A node that learns from a stream of batches, without gradients and without keeping pixels."""

    fit_passes: int
    fitted: bool

    def fit_start(self, pass_: int) -> None:
        """Begin a pass over the data; 0 is the first, which forgets earlier fits."""

    def fit_update(self, **arrays: Array) -> None:
        """Take in one batch."""

    def fit_state(self) -> Mapping[str, Array]:
        """What this pass has gathered so far, to be merged into another node's."""

    def fit_merge(self, state: Mapping[str, Array]) -> None:
        """Take in what another node of the same class gathered in the same pass."""

    def fit_end(self) -> None:
        """End the pass; after the last one, set ``fitted``."""


@runtime_checkable
class Stateful(Protocol):
    """A node with state to save. Whether it is fitted is part of that state, never inferred."""

    def state(self) -> Mapping[str, Array]:
        """Everything that makes a fresh node with the same parameters equal to this one."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take over a saved state; names, shapes and sizes must be this node's own."""


@runtime_checkable
class Trainable(Protocol):
    """A node with parameters for gradient training, frozen until it is unfrozen."""

    def unfreeze(self) -> None:
        """Turn the trainable buffers into parameters."""

    def freeze(self) -> None:
        """Turn the parameters back into buffers."""

    def parameters(self) -> Iterable[Array]:
        """What an optimiser may change; empty while frozen."""


@runtime_checkable
class Annealed(Protocol):
    """A node that anneals."""

    def on_epoch(self, epoch: int, max_epochs: int) -> None:
        """Called by a trainer before each epoch, counted from 0."""


@runtime_checkable
class Metric(Protocol):
    """A node that gathers over a stage and gives its ``per_stage`` outputs when the stage ends."""

    def measure_start(self, stage: str) -> None:
        """Forget what was gathered; a stage begins."""

    def measure_end(self) -> Batch:
        """The per-stage outputs by port name."""


@runtime_checkable
class AffineNode(Protocol):
    """A node one output of which is ``scale * x + offset`` of an input, by band."""

    #: That output.
    affine_output: ClassVar[str]

    def forward_lazy(self, **inputs: Any) -> Batch:
        """As ``forward``, with a ``LazyAffine`` in that output where it is affine."""


@runtime_checkable
class AffineReader(Protocol):
    """A node that takes a ``LazyAffine`` at one input and folds it into its own map."""

    #: That input.
    affine_input: ClassVar[str]


class LazyAffine(NamedTuple):
    """``data * scale + offset`` by band, left to the readers to work out.

    Args:
        data: (..., C), of any real dtype.
        scale: (C,) or a scalar, as ``offset`` is; gradients go through both.
        dtype: The type that the result would have.
    """

    data: Array
    scale: Array
    offset: Array
    dtype: Any

    @classmethod
    def of(cls, data: Any, scale: Array, offset: Array, dtype: Any) -> LazyAffine:
        """The same for ``data`` that may be a ``LazyAffine`` already."""
        if isinstance(data, cls):
            scale, offset, data = data.scale * scale, data.offset * scale + offset, data.data
        return cls(data, scale, offset, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``data``."""
        return tuple(self.data.shape)


@runtime_checkable
class Loss(Protocol):
    """A node with a scalar output ``loss``, already weighted, and the sums behind it."""

    weight: float

    def pooled(self) -> tuple[Array, Array]:
        """(sum, count) of the last batch, so that processes can be pooled exactly."""


@runtime_checkable
class Source(Protocol):
    """Where batches come from; ``specloom check`` tells what ``remarks()``, if any, gives.

    A source may also have ``lacks(split)``, which gives the names of ``outputs``, such as ``mask``,
    that no image of a split has; what needs them is then skipped, or refused before any work.
    """

    outputs: ClassVar[Mapping[str, Port]]

    def sizes(self) -> Mapping[str, int]:
        """Sizes of output axes as the files' headers give them; absent files give nothing."""

    def splits(self) -> Iterable[str]:
        """The splits that can be asked for, of ``train``, ``val``, ``test`` and ``predict``."""

    def count(self, split: str) -> int | None:
        """The number of batches in a split, or None where nobody knows."""

    def batches(self, split: str) -> Iterator[Batch]:
        """Read a split, batch by batch; keys are the names of ``outputs``."""


@runtime_checkable
class MapStyleSource(Protocol):
    """A source whose images can be read in any order, for shuffling and for several processes."""

    batch_size: int

    def items(self, split: str) -> int:
        """The number of images of a split."""

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of the images with these numbers, counted from 0, in this order."""


def missing_by_split(source: Source) -> dict[str, list[str]]:
    """By split, what the source says that none of its images has."""
    missing_outputs = getattr(source, "missing_outputs", None)
    if missing_outputs is None:
        return {}
    return {split: list(missing_outputs(split)) for split in source.splits()}


#: The place in the run file of a phase's parameter: ``at("split")`` is ``run.yaml:31``, and
#: ``at("optimizer", "lr")`` that of a value within one.
At: TypeAlias = Callable[..., str]


@runtime_checkable
class Trainer(Protocol):
    """One phase of a run.

    A phase may also have ``skips(graph)``, which gives one line for each thing that it leaves out
    for want of data, and ``changes = False`` where it leaves all nodes as they are.
    """

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Everything wrong with this phase on this graph, before anything runs."""

    def train(self, run: Run) -> None:
        """Run the phase."""


@runtime_checkable
class LossMinimiser(Protocol):
    """A trainer that minimises losses; a loss that no phase minimises is an error."""

    def losses_of(self, graph: Graph) -> Iterable[str]:
        """The names of the loss nodes that this phase minimises."""


class Runtime(Protocol):
    """What the executor asks of an array library; ``specloom.torch`` answers it."""

    device: str

    def adopt(self, batch: Batch, ports: Mapping[str, Port]) -> Batch:
        """A source's batch as the library's arrays on the device (``host`` ports stay)."""

    def evaluation(self, nodes: Iterable[Any]) -> AbstractContextManager[None]:
        """A context without gradients, with all nodes in evaluation mode."""

    def place(self, nodes: Mapping[str, Any], seed: int) -> None:
        """Move the nodes to the device and seed each one's generator by its name."""

    def forward(self, node: Any) -> Callable[..., Batch]:
        """The node's ``forward``, converted at its border if it works on NumPy arrays."""

    def dump(self, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
        """Arrays as safetensors."""

    def load(self, data: bytes) -> tuple[Mapping[str, Array], Mapping[str, str]]:
        """Arrays and metadata from safetensors."""
