"""The node that defines what TensorBoard shows, and where its files are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from specloom import Batch, ConfigError, Input, OnDemand, Ported, Run, impl, node
from specloom_tensorboard.drawings import Drawings
from specloom_tensorboard.wording import configuration_text, describe, metrics_text

if TYPE_CHECKING:
    from specloom import Graph
    from specloom_tensorboard.log import Log


@node
class TensorBoardMonitorNode(Ported):
    """Writes what a run records, and the connected metrics and pictures, for TensorBoard.

    Tags are ``<stage>/<node>/<name>``, with one step for each epoch and stage. What trainers
    record (losses, learning rates, temperatures, chosen bands and the distribution of weights) is
    written without a connection; metrics and pictures of a stage are written if their node is
    connected. Each tag is described by the class of its node. Counts, such as those of pixels, are
    no charts: they are in the table of all metrics, the text ``run/metrics`` that the end of a run
    adds with its run file, ``run/configuration``.

    Numbers are on disk when they were recorded. Pictures that are drawn on demand are drawn on a
    thread, of the first and then of every ``pictures_every``-th epoch, and always the last ones of
    a phase; they are on disk when the phase ends.

    In a run from a file the node is found by this plugin's observer; in Python it is passed to a
    trainer: ``GradientTrainer(..., monitors=[node])``.

    Args:
        output_dir: The ``--logdir`` of TensorBoard, relative to the current folder; None for
            ``tensorboard`` in the folder of the run's results, or ``runs/tensorboard`` where it
            has none.
        run_name: The name of the run in TensorBoard, a folder in ``output_dir``; None for the
            name of the run.
        pictures_every: Pictures are drawn of every so many-th epoch; 1 for every one.

    Raises:
        ConfigError: ``run_name`` leads out of ``output_dir``, or ``pictures_every`` is less than 1.
    """

    metrics = Input(None, dtype="scalars", many=True, per_stage=True, doc="Metrics to be shown.")
    artifacts = Input(None, dtype="record", many=True, per_stage=True, doc="Pictures to be shown.")
    stages = ("train", "val", "test")
    example: ClassVar[Mapping[str, object]] = {}

    output_dir: str | None = None
    run_name: str | None = None
    pictures_every: int = 10

    def __post_init__(self) -> None:
        self._log: Log | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the name of the run, and how often pictures are drawn."""
        if self.pictures_every < 1:
            what = f"{self.name!r}: pictures_every is {self.pictures_every}"
            raise ConfigError(what, fix="write pictures_every: 1 or more")
        path = PurePath(self.run_name or "run")
        if path.is_absolute() or ".." in path.parts:
            what = f"run_name {self.run_name!r} of {self.name!r} leads out of output_dir"
            raise ConfigError(what, fix="give a name, and the folder as output_dir")

    def forward(
        self,
        metrics: Sequence[Mapping[str, float]] = (),
        artifacts: Sequence[Mapping[str, Any]] = (),
    ) -> Batch:
        """Do nothing: values come with their tags and steps from the run's hooks."""
        return {}

    def folder(self, run: Run) -> Path:
        """Where this node writes in a run."""
        if self.output_dir is not None:
            folder = Path(self.output_dir)
        elif run.folder is not None:
            folder = run.folder / "tensorboard"
        else:
            folder = Path("runs/tensorboard")
        name = self.run_name or str(run.metadata.get("name") or "run")
        return folder / name.replace("..", "_").strip("/")

    def log(self, run: Run) -> Log:
        """The log of a run; runs in one folder and process go on with one."""
        from specloom_tensorboard.log import Log

        folder = self.folder(run)
        if self._log is None or self._log.folder != folder or run.resumed:
            self._log = Log(folder, run.resumed)
        return self._log

    def observer(self) -> Writer:
        """An observer that writes what a run records, for ``run.plugins.add``."""
        return Writer(self)


class Writer:
    """The observer behind one node.

    Args:
        monitor: The node.
    """

    def __init__(self, monitor: TensorBoardMonitorNode) -> None:
        self._monitor = monitor
        self._run: Run | None = None
        self._log: Log | None = None
        self._drawings = Drawings(monitor.pictures_every)

    @impl
    def recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Write numbers, without counts, and without metrics of nodes that are not connected."""
        charts = {tag: value for tag, value in values.items() if not isinstance(value, int)}
        self._write(run, step, charts, "metrics")

    @impl
    def artifacts(self, run: Run, step: int, values: Mapping[str, Any]) -> None:
        """Write pictures, texts and distributions, of nodes with pictures where connected."""
        if isinstance(values, OnDemand):
            shown = self._shown(run, values, "artifacts")
            drawn = values.renamed({tag: tag for tag in shown})
            write = partial(self._log_of(run).write, describe=partial(describe, run.graph))
            self._drawings.add(write, step, drawn)
        else:
            self._write(run, step, values, "artifacts")

    @impl
    def phase_ended(self) -> None:
        """Draw the last pictures, and wait until all are written."""
        self._drawings.finish()

    @impl
    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Draw the last pictures; if something was written, add metrics and run file as texts."""
        self._drawings.finish()
        if error is not None or self._log is None or not self._log.started:
            return
        texts = {"run/metrics": metrics_text(run.metrics)}
        if run.document.value is not None:
            texts["run/configuration"] = configuration_text(run.document.value)
        self._log.write(0, {tag: text for tag, text in texts.items() if text})

    def _write(self, run: Run, step: int, values: Mapping[str, Any], port: str) -> None:
        shown = self._shown(run, values, port)
        values_shown = {tag: values[tag] for tag in shown}
        self._log_of(run).write(step, values_shown, partial(describe, run.graph))

    def _shown(self, run: Run, tags: Iterable[str], port: str) -> list[str]:
        """The tags that are shown: of nodes with this port, those that are connected."""
        hidden = _unconnected(run.graph, self._monitor, port)
        return [tag for tag in tags if _node_of(tag) not in hidden]

    def _log_of(self, run: Run) -> Log:
        if self._log is None or run is not self._run:
            self._run = run
            self._log = self._monitor.log(run)
        return self._log


def _node_of(tag: str) -> str:
    """The node of ``<stage>/<node>/<name>``; "" where a tag names none."""
    _, _, rest = tag.partition("/")
    return rest.partition("/")[0]


def _unconnected(graph: Graph, monitor: TensorBoardMonitorNode, port: str) -> set[str]:
    """The nodes with an output for ``port`` of the monitor that is not connected to it."""
    dtype = monitor.inputs[port].dtype
    connected = _connected(graph, monitor, port)
    found = set()
    for name, other in graph.nodes.items():
        outputs = [one for one in other.outputs.values() if one.per_stage and one.dtype == dtype]
        if outputs and name not in connected:
            found.add(name)
    return found


def _connected(graph: Graph, monitor: TensorBoardMonitorNode, port: str) -> set[str]:
    """The nodes that are connected to ``port`` of the monitor."""
    found: set[str] = set()
    for name, other in graph.nodes.items():
        if other is monitor:
            ends = graph.incoming(name).get(port, [])
            found.update(end.partition(".")[0] for end in ends)
    return found
