"""What plugins see of a graph, a run and a pipeline: their stable attributes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from specloom.contract.fleet import Executor
    from specloom.contract.nodes import Array, Batch
    from specloom.contract.ports import Port
    from specloom.contract.runtime import Runtime


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

    def port(self, end: str, side: str = "outputs") -> Port:
        """The port behind ``node.port``."""

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
        """Those of them that have had no fit yet."""

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
    def folder(self) -> Path | None:
        """Where results are written; None for a run that writes none."""

    @property
    def resumed(self) -> bool:
        """Whether a run that was interrupted in ``folder`` is continued."""

    @property
    def executor(self) -> Executor | None:
        """Who works on the shares of the data; None for the phases themselves."""

    @property
    def record(self) -> dict[str, Any]:
        """What observers add to ``run.json``."""

    @property
    def hook(self) -> Any:
        """The hooks that watch: ``run.hook.recorded(run=run, …)``."""

    def batches(self, split: str, what: str = "") -> Iterator[Batch]:
        """The batches of a split on the device; observers see the progress."""

    def plan(self, stage: str, want: Iterable[str] | None = None) -> PlanView:
        """The graph compiled for a stage."""

    def inference(self) -> AbstractContextManager[None]:
        """A context without gradients, with every node in evaluation mode."""

    def log_metrics(self, stage: str, values: Mapping[str, float], step: int = 0) -> None:
        """Add numbers by ``node/name`` to the metrics of a stage, and report them to observers."""

    def notify_fitted(self, name: str) -> None:
        """Report to observers that a node was fitted."""

    def place(self) -> None:
        """Move the nodes to the device and seed them."""


class PipelineView(Protocol):
    """A graph in the making, as Python code adds to it."""

    name: str
    """The name of the pipeline."""

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by name."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """The values that a run saves, ``node.port`` by name."""

    def add(self, name: str, node: Any) -> Any:
        """Add a node under a name, and return it."""

    def connect(self, /, *ends: Any) -> None:
        """Connect one output to inputs, or outputs to inputs pair by pair."""

    def chain(self, *ends: Any) -> None:
        """Connect nodes in a row."""

    def graph(self, source: Any = None) -> GraphView:
        """The checked graph for batches of ``source``."""
