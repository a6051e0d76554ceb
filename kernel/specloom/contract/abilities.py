"""What a node may be able to do besides ``forward``: fit, save, train, anneal, measure, fold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.nodes import Array, Batch


@runtime_checkable
class Fittable(Protocol):
    """A node that learns from a stream of batches, without gradients and without keeping pixels."""

    fit_passes: int
    """How often it sees the data; 0 where this node, as it is set up, needs no fit."""

    fitted: bool
    """Whether it was fitted, or restored from a fitted node."""

    def fit_start(self, pass_: int) -> None:
        """Begin a pass over the data; 0 is the first, which forgets earlier fits."""

    def fit_update(self, **arrays: Array) -> None:
        """Take in one batch."""

    def fit_state(self) -> Mapping[str, Array]:
        """What this pass has collected so far, to be merged into another node's."""

    def fit_merge(self, state: Mapping[str, Array]) -> None:
        """Take in what another node of the same class collected in the same pass."""

    def fit_end(self) -> None:
        """End the pass; after the last one, set ``fitted``."""


class FitsPixels(Protocol):
    """A fittable node whose fit sees a stream of pixels, wherever images begin and end in it."""

    fits_pixels: bool
    """Whether ``fit_update`` may get an image in parts (1, 1, N, C), with the same bits.

    All parts but the last have a number of pixels that is a multiple of 65,536 on a GPU, and of
    1024 elsewhere.
    """


class FitSummary(Protocol):
    """A fittable node that says what it was fitted to."""

    def fit_summary(self) -> str:
        """The result of the fit in one line, for the console and the report."""


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


class TrainableBuffers(Protocol):
    """A trainable node that names the buffers which are trained."""

    trainable: tuple[str, ...]
    """Buffers that become parameters while it is unfrozen; empty for a node without any."""


@runtime_checkable
class Annealed(Protocol):
    """A node that anneals."""

    def on_epoch(self, epoch: int, max_epochs: int) -> None:
        """Called by a trainer before each epoch, counted from 0."""


class Scheduled(Protocol):
    """An annealed node that shows the values of its schedule."""

    def schedule_values(self) -> Mapping[str, float]:
        """The present values by name, such as ``temperature``, for logs and learning curves."""


class ShowsEpochs(Protocol):
    """An annealed node of which more than numbers is of interest after each epoch."""

    def epoch_artifacts(self) -> Mapping[str, Any]:
        """Texts, and NumPy arrays of which the distribution counts, by name, for observers."""


class Diagnosable(Protocol):
    """A trained node that can recognise that training went wrong."""

    def diagnose(self) -> str | None:
        """What is wrong with the trained state, in one sentence for a warning; None if nothing."""


class OnDemand(Mapping[str, Any]):
    """Values by name that are made when they are first read, such as pictures to be drawn.

    As a value of a record it costs nothing where nothing reads it.

    Args:
        makers: What makes each value; it must not depend on what changes later.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """A value, made once."""
        if name not in self._made:
            self._made[name] = self._makers[name]()
            self._makers[name] = partial(self._made.__getitem__, name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """The names; no value is made."""
        return iter(self._makers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._makers)

    def renamed(self, names: Mapping[str, str]) -> OnDemand:
        """Some of the values under other names, present names by the new ones."""
        return OnDemand({new: partial(self.__getitem__, name) for new, name in names.items()})


@runtime_checkable
class Metric(Protocol):
    """A node that collects over a stage and returns its ``per_stage`` outputs when it ends."""

    def measure_start(self, stage: str) -> None:
        """Forget what was collected; a stage begins."""

    def measure_end(self) -> Batch:
        """The per-stage outputs by port name."""


@runtime_checkable
class MergeableMetric(Metric, Protocol):
    """A metric that can collect in several processes, whose states are merged in their order."""

    def measure_state(self) -> Mapping[str, Array]:
        """What was collected since ``measure_start``, to be merged into another node's."""

    def measure_merge(self, state: Mapping[str, Array]) -> None:
        """Append what another node of the class collected; in a fresh node, exactly its state."""


class NamedMetrics(Protocol):
    """A metric node that says beforehand which numbers it will return."""

    metric_names: ClassVar[tuple[str, ...]]
    """The names of the numbers, so that a monitored name is checked before training."""


@runtime_checkable
class AffineNode(Protocol):
    """A node one output of which is ``scale * x + offset`` of an input, by band."""

    affine_output: ClassVar[str]
    """That output."""

    def forward_lazy(self, **inputs: Any) -> Batch:
        """As ``forward``, with a ``LazyAffine`` in that output where it is affine."""


@runtime_checkable
class AffineReader(Protocol):
    """A node that takes a ``LazyAffine`` at one input and folds it into its own map."""

    affine_input: ClassVar[str]
    """That input."""


@runtime_checkable
class LinearNode(Protocol):
    """A node one output of which is ``matrix @ x + offset`` of the bands of an input."""

    linear_output: ClassVar[str]
    """That output."""

    def forward_lazy(self, **inputs: Any) -> Batch:
        """As ``forward``, with a ``LazyLinear`` in that output where it is linear."""


@runtime_checkable
class LinearReader(AffineReader, Protocol):
    """A node that takes a ``LazyLinear`` as well as a ``LazyAffine`` at one input."""

    linear_input: ClassVar[str]
    """That input, the same as ``affine_input``."""


@runtime_checkable
class MonotoneNode(Protocol):
    """A node one output of which is a function of each number of an input that never decreases."""

    monotone_output: ClassVar[str]
    """That output."""

    def forward_lazy(self, **inputs: Any) -> Batch:
        """As ``forward``, with a ``LazyMonotone`` in that output where it never decreases."""


@runtime_checkable
class MonotoneReader(Protocol):
    """A node that takes a ``LazyMonotone`` at one input, such as one that compares numbers."""

    monotone_input: ClassVar[str]
    """That input."""


class SelectiveNode(Protocol):
    """A node that need not make every output."""

    def forward_for(self, outputs: Collection[str]) -> Callable[..., Batch]:
        """A ``forward`` that makes at least these outputs, with the same bits."""


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
    def of(cls, data: Any, scale: Array, offset: Array, dtype: Any) -> LazyAffine | LazyLinear:
        """The same for ``data`` that may be a ``LazyAffine`` or a ``LazyLinear`` already."""
        if isinstance(data, LazyLinear):
            combined = data.offset * scale + offset
            return LazyLinear(data.data, (data.matrix.T * scale).T, combined, dtype)
        if isinstance(data, cls):
            combined = data.offset * scale + offset
            return cls(data.data, data.scale * scale, combined, dtype)
        return cls(data, scale, offset, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``data``."""
        return tuple(self.data.shape)


class LazyLinear(NamedTuple):
    """``matrix @ x + offset`` of the bands x of each pixel, left to the readers to work out.

    Args:
        data: (..., C), of any real dtype.
        matrix: (K, C), dense or with zeros away from a band around its diagonal.
        offset: (K,) or a scalar; gradients go through both.
        dtype: The type that the result would have.
    """

    data: Array
    matrix: Array
    offset: Array
    dtype: Any

    @classmethod
    def of(cls, data: Any, matrix: Array, offset: Array, dtype: Any) -> LazyLinear:
        """The same for ``data`` that may be a ``LazyAffine`` or a ``LazyLinear`` already."""
        if isinstance(data, LazyAffine):
            combined = (matrix * data.offset).sum(-1) + offset
            return cls(data.data, matrix * data.scale, combined, dtype)
        if isinstance(data, cls):
            combined = (matrix * data.offset).sum(-1) + offset
            return cls(data.data, matrix @ data.matrix, combined, dtype)
        return cls(data, matrix, offset, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return (*self.data.shape[:-1], self.matrix.shape[0])


class LazyMonotone(NamedTuple):
    """``function(data)`` of each number, left to the readers to work out.

    Args:
        data: Of any shape.
        function: Never decreases, also in its last digit, and gives NaN for NaN alone; the same
            object for as long as it is the same function.
        dtype: The type that the result would have.
    """

    data: Array
    function: Callable[[Array], Array]
    dtype: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``data``."""
        return tuple(self.data.shape)


@runtime_checkable
class Loss(Protocol):
    """A node with a scalar output ``loss``, already weighted, and the sums behind it."""

    weight: float
    """The factor of this loss in the sum that is minimised."""

    def pooled(self) -> tuple[Array, Array]:
        """(sum, count) of the last batch, so that processes can be pooled exactly.

        The sum is weighted, as ``loss`` is: loss = sum / max(count, 1).
        """


class Calibrated(Protocol):
    """A decider whose threshold can be set by a calibration phase."""

    logit_threshold: float
    """Logits above it are decided as anomalous."""

    def calibrate(self, logit_threshold: float) -> None:
        """Take over a threshold that was found on labelled data."""


class Thresholded(Protocol):
    """A decider with one or several thresholds that a calibration phase can set."""

    thresholds: ClassVar[tuple[str, ...]]
    """The parameters that ``calibrate`` takes, by keyword; the first is the usual one."""

    def decision_levels(self, parameter: str, logits: Array, valid: Array | None = None) -> Array:
        """The largest value of a parameter with which each pixel is decided.

        (B, H, W, 1); NaN where nothing is decided, minus infinity where no value does.
        """


class GatesImages(Protocol):
    """A decider that decides nothing in images whose score is below its ``image_threshold``."""

    image_threshold: float
    """The least score of an image in which pixels are decided."""

    def image_scores(self, logits: Array, valid: Array | None = None) -> Array:
        """The score of each image, (B,)."""


class ChiSquareScores(Protocol):
    """A detector whose scores of normally distributed background are chi-square distributed."""

    def degrees_of_freedom(self) -> int | None:
        """The degrees of freedom, or None where the scores have another distribution."""


class LogitMap(Protocol):
    """A node whose logits are ``scale * score + offset``."""

    def logit_map(self) -> tuple[float, float]:
        """Scale and offset."""


class SelectsBands(Protocol):
    """A node that chooses a number of bands."""

    n_select: int
    """How many bands it chooses, which the report marks."""


class NamesBands(Protocol):
    """A node that knows names for the last axis of an output, such as targets."""

    def band_names(self, port: str) -> Sequence[str]:
        """The names of an output's bands, which files of ``predict`` have; empty without names."""


class Monitor(Protocol):
    """A node that writes what happens in training, given to a trainer as a monitor."""

    def observer(self) -> object:
        """The observer that watches the run for this node."""
