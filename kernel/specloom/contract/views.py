"""What plugins see of a graph, a run and a pipeline: their stable attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.errors import SpecloomError
    from specloom.contract.fleet import Executor
    from specloom.contract.nodes import Array, Batch
    from specloom.contract.ports import Connection, Port
    from specloom.contract.runtime import Runtime
    from specloom.contract.tickets import ImageWindows


class DocumentView(Protocol):
    """A run file that was read."""

    @property
    def name(self) -> str:
        """The path of the file."""

    @property
    def value(self) -> Any:
        """What the file holds."""


class ConnectionsView(Protocol):
    """The connections of a graph."""

    def __iter__(self) -> Iterator[Connection]:
        """The connections, in the user's order."""

    def ports(self, connection: Connection) -> tuple[Port, Port]:
        """The output and the input that a connection joins."""

    def is_implied(self, connection: Connection) -> bool:
        """Whether a connection need not be written: an entry node's to the batch, by name."""


class InferredSizeView(Protocol):
    """The size of an axis that follows from the graph."""

    @property
    def size(self) -> int:
        """The size."""

    @property
    def reason(self) -> str:
        """What it follows from."""


class MissingDataView(Protocol):
    """What a split does not lead to, for want of data."""

    @property
    def values(self) -> Collection[str]:
        """The values, as ``node.port``."""

    @property
    def nodes(self) -> Sequence[str]:
        """The nodes that do not run."""


class GraphView(Protocol):
    """A checked graph: nodes in running order, and what flows between them."""

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by name."""

    @property
    def order(self) -> Sequence[str]:
        """The names of the nodes, in running order."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """The values that a run saves: ``{"scores": "rx.scores"}``."""

    @property
    def batch(self) -> Mapping[str, Port]:
        """The ports of the data source."""

    @property
    def types(self) -> Mapping[str, str]:
        """The reference behind each node: ``{"rx": "rx.RXGlobal"}``."""

    @property
    def stages(self) -> Mapping[str, tuple[str, ...]]:
        """The stages in which each node runs."""

    @property
    def splits(self) -> Sequence[str]:
        """The splits in which the source has images."""

    @property
    def unbuilt(self) -> Sequence[str]:
        """The nodes of which sizes are not known yet, because files of the data are absent."""

    @property
    def entries(self) -> Sequence[str]:
        """The nodes that take their inputs from the batch by name."""

    @property
    def connections(self) -> ConnectionsView:
        """The connections, with those of entry nodes to the batch."""

    @property
    def inferred_sizes(self) -> Mapping[str, Mapping[str, InferredSizeView]]:
        """The sizes that follow from the graph, by node (or ``batch``) and axis."""

    @property
    def missing_outputs(self) -> Mapping[str, Sequence[str]]:
        """By split, the ports of the source that none of its images has."""

    @property
    def read_options(self) -> Mapping[str, Any]:
        """How the files of the source are read, as plain values."""

    @property
    def fitted_on(self) -> dict[str, Array]:
        """What is known of the batches that nodes were fitted on; a fit replaces it."""

    @property
    def document(self) -> DocumentView:
        """The run file."""

    def where(self, *keys: str | int) -> str:
        """The place of a key in the run file: ``run.yaml:14``."""

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``; a KeyError where there is none."""

    def incoming(self, name: str, *, fit: bool = False) -> Mapping[str, Sequence[str]]:
        """The values that come to each connected input of a node; with ``fit``, those of a fit."""

    def missing_data(self, split: str) -> MissingDataView:
        """What a split does not lead to, because none of its images has some of the data."""

    def missing_files(self) -> Sequence[SpecloomError]:
        """An error for each file that a node loads, and that is not there."""

    def notes(self) -> Sequence[str]:
        """What to report of connections, of outputs and inputs without one, and of nodes."""

    def setup_notes(self) -> Sequence[str]:
        """What nodes have to say of their parameters, each with its place."""

    def sizes(self, name: str) -> Mapping[str, int]:
        """The sizes of a node's axes that follow from the graph, without those of the images."""

    def ancestors(
        self,
        ends: Iterable[str],
        among: Iterable[str] | None = None,
        provided: Collection[str] = (),
    ) -> set[str]:
        """Every node that the values ``ends`` come from."""

    def fittable(self) -> Sequence[str]:
        """The nodes, in running order, that are fitted by statistics."""

    def unfitted(self) -> Sequence[str]:
        """The fittable nodes that have had no fit yet."""

    def label(self, name: str) -> str:
        """What messages call a node: its name and class."""

    def state(self) -> Mapping[str, Array]:
        """Everything that nodes save, by ``node.name``."""


class PlanView(Protocol):
    """A graph that is compiled for a stage: called with a batch, it returns values by end."""

    def __call__(self, batch: Batch) -> Mapping[str, Any]:
        """The wanted values of one batch, by ``node.port``."""

    def start(self) -> None:
        """Begin the stage."""

    def finish(self) -> Mapping[str, Any]:
        """End the stage: the values that are known only now, by ``node.port``."""


class PluginsView(Protocol):
    """The plugins of a run."""

    @property
    def manager(self) -> Any:
        """The manager of pluggy, which unregisters observers."""

    def add(self, name: str, module: object, where: str = "") -> None:
        """Register an observer under a name."""

    def observers(self) -> Mapping[str, Any]:
        """A new observer of each class that plugins offer, by its reference."""

    def working(self) -> Iterator[tuple[str, Any]]:
        """Every plugin that can be imported, with its name."""


class PredictionView(Protocol):
    """What a pipeline makes of a cube: ``found.scores`` is ``found["scores"]``."""

    @property
    def arrays(self) -> Mapping[str, Any]:
        """The outputs by name, in the kind of the cube."""

    def __getitem__(self, name: str) -> Any:
        """An output."""

    def __getattr__(self, name: str) -> Any:
        """An output, or what else is known of the cube."""


class RunView(Protocol):
    """A run, as phases and observers see it."""

    @property
    def graph(self) -> GraphView:
        """The graph."""

    @property
    def source(self) -> Any:
        """Where batches come from."""

    @property
    def phases(self) -> Sequence[tuple[str, Any]]:
        """The phases, each with its reference."""

    @property
    def plugins(self) -> PluginsView:
        """The plugins."""

    @property
    def observed(self) -> bool:
        """Whether observers of plugins watch."""

    @property
    def runtime(self) -> Runtime:
        """The array library and its device."""

    @property
    def seed(self) -> int:
        """The seed of every generator."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Name, description, tags and author."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """The last value of each metric: ``{"test": {"node/name": value}}``."""

    @property
    def document(self) -> Any:
        """The run file: its ``name``, and its ``value`` as mappings and lists."""

    @property
    def folder(self) -> Path | None:
        """Where results are written; None for a run that writes none."""

    @property
    def resumed(self) -> bool:
        """Whether a run that was interrupted in ``folder`` is continued."""

    @property
    def quiet(self) -> bool:
        """Whether observers show only warnings."""

    @property
    def verbose(self) -> bool:
        """Whether observers show everything that they know."""

    @property
    def fold(self) -> bool:
        """Whether plans for other stages than training fold affine nodes."""

    @property
    def executor(self) -> Executor | None:
        """Who works on the shares of the data; None for the phases themselves."""

    @property
    def record(self) -> dict[str, Any]:
        """What observers add to ``run.json``."""

    @property
    def failed_checks(self) -> list[str]:
        """What phases found, and warned of, that ``specloom run --strict`` fails on."""

    @property
    def hook(self) -> Any:
        """The hooks that watch: ``run.hook.recorded(run=run, …)``."""

    def batches(self, split: str, what: str = "") -> Iterator[Batch]:
        """The batches of a split on the device; observers see the progress."""

    def adopt(self, batch: Batch) -> Batch:
        """A batch of the source on the device, after the entry nodes have looked at it."""

    def windowed_batches(self, split: str, what: str = "") -> Iterator[Batch | ImageWindows]:
        """As ``batches``; where the source can, a large image comes as windows on the device."""

    def adopt_windows(self, batch: Batch | ImageWindows) -> Batch | ImageWindows:
        """As ``adopt``; of an image in windows each when it is read."""

    def plan(self, stage: str, want: Iterable[str] | None = None) -> PlanView:
        """The graph compiled for a stage.

        Called with a batch, it returns the values ``want``, each as ``node.port``; without
        ``want`` it runs every node of the stage.
        """

    def inference(self) -> AbstractContextManager[None]:
        """A context without gradients, with every node in evaluation mode."""

    def measured(self, stage: str, values: Mapping[str, Any], step: int = 0) -> Mapping[str, float]:
        """Log what a finished plan measured, and return the numbers by ``node/name``."""

    def log_metrics(self, stage: str, values: Mapping[str, float], step: int = 0) -> None:
        """Add numbers by ``node/name`` to the metrics of a stage, and report them to observers."""

    def notify_fitted(self, name: str) -> None:
        """Report to observers that a node was fitted."""

    def place(self) -> None:
        """Move the nodes to the device and seed them."""

    def run(self, changed: Callable[[], None] = ...) -> None:
        """Run every phase in turn; ``changed`` is called between two of them."""

    def save(self, folder: str | Path) -> Path:
        """Write pipeline, metrics and record, as ``specloom run --out`` does."""

    def run_into(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Run every phase, and write into a folder what comes of it, as ``specloom run`` does."""


@runtime_checkable
class StartedExecutor(Protocol):
    """An executor that must be started and closed, as one of other processes."""

    def start(self, run: RunView, folder: Path | None) -> None:
        """Get ready for jobs of a run, whose observers see how the workers go on.

        Args:
            run: The run.
            folder: Where results go, which all workers must see; None for none.

        Raises:
            SpecloomError: There is no worker, or one does not fit.
        """

    def close(self) -> None:
        """End what was started; further calls do nothing."""


class PipelineView(Protocol):
    """A graph in the making, as Python code adds to it."""

    name: str
    """The name of the pipeline."""

    companions: bool
    """Whether inputs that belong to others are connected where they are not."""

    stages: dict[str, tuple[str, ...]]
    """The stages of nodes that do not run in all."""

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by name."""

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """The values that a run saves, ``node.port`` by name."""

    @property
    def plugins(self) -> PluginsView | None:
        """Where the classes of nodes are looked up when it is saved; None for what is installed."""

    def add(self, name: str, node: Any) -> Any:
        """Add a node under a name, and return it."""

    def connect(self, /, *ends: Any) -> None:
        """Connect one output to inputs, or outputs to inputs pair by pair."""

    def chain(self, *ends: Any) -> None:
        """Connect nodes in a row."""

    def graph(self, source: Any = None) -> GraphView:
        """The checked graph for batches of ``source``."""
