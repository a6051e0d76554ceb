"""One run: a graph, a source of batches, phases, and the observers that watch."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from html import escape
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.assembly.phase_order import never_fitted
from specloom.contract.abilities import OnDemand
from specloom.contract.errors import (
    ConfigError,
    DataError,
    GraphError,
    SpecloomError,
    UnavailableError,
    did_you_mean,
    raise_all,
    warn_of,
)
from specloom.contract.nodes import Batch
from specloom.contract.phases import Trainer
from specloom.contract.ports import Port, node_of
from specloom.contract.sources import DescribedSplit, DescribesSplits, Source
from specloom.contract.tickets import ImageWindows, WindowedSource
from specloom.contract.views import PredictionView
from specloom.execution import described, result_files
from specloom.execution.data_description import data_notes, describe_splits
from specloom.execution.one_batch import NoData
from specloom.execution.plan import Plan
from specloom.execution.warning_capture import warnings_to
from specloom.execution.windows import AdoptedWindows
from specloom.graph.graph import Graph
from specloom.graph.showing import graph_html, table
from specloom.logs import LABEL, LogObserver
from specloom.plugins import Plugins

if TYPE_CHECKING:
    from specloom.contract.fleet import Executor
    from specloom.contract.runtime import Runtime


class Run:
    """What phases and observers work with.

    Args:
        graph: The graph.
        source: Where batches come from.
        phases: The phases, each with its reference.
        plugins: The plugins; their observers watch the run if ``observed``.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: The seed of every generator.
        metadata: Name, description, tags and author, as the run file has them.
        observed: Whether observers of plugins watch; without, the run is silent.
    """

    def __init__(
        self,
        graph: Graph,
        source: Source,
        phases: Sequence[tuple[str, Trainer[Graph, "Run"]]] = (),
        *,
        plugins: Plugins | None = None,
        device: str = "auto",
        seed: int = 0,
        metadata: Mapping[str, Any] | None = None,
        observed: bool = False,
    ) -> None:
        self.graph = graph
        self.source = source
        self.phases = list(phases)
        self.plugins = plugins or Plugins({})
        self.seed = seed
        self.metadata = dict(metadata or {})
        self.observed = observed
        self.runtime: Runtime = self.plugins.runtime(device)
        #: The last value of each metric: ``{"test": {"node/name": value}}``.
        self.metrics: dict[str, dict[str, float]] = {}
        #: The run file.
        self.document = graph.document
        #: Where results go, if anywhere.
        self.folder: Path | None = None
        #: Whether what is in the folder is to be continued.
        self.resumed = False
        #: Whether observers show only warnings.
        self.quiet = False
        #: Whether observers show everything that they know.
        self.verbose = False
        #: Whether plans for other stages than training fold affine nodes.
        self.fold = True
        #: Who works on the shares of the data in statistical fits and evaluations; None for the
        #: phases themselves, batch by batch. Where a run runs is not part of what it computes, so
        #: no run file names it: ``run.executor = Here()``.
        self.executor: Executor | None = None
        #: What observers add to ``run.json``.
        self.record: dict[str, Any] = {}
        #: What phases found, and warned of, that ``specloom run --strict`` fails on.
        self.failed_checks: list[str] = []
        #: The hooks that watch: ``run.hook.recorded(run=run, …)``.
        self.hook: Any = self.plugins.manager.hook
        self._placed = False
        self._predictor: Any = None
        self._predictor_fit: list[Any] = []

    def __repr__(self) -> str:
        name = self.metadata.get("name", "run")
        nodes = f"{len(self.graph.nodes)} nodes"
        state = f"{len(self.phases)} phases, not run"
        if self.metrics:
            state = f"metrics of {', '.join(self.metrics)}"
        elif isinstance(self.source, NoData):
            state = "fitted"
        return f"Run({str(name)!r}: {nodes}, {state})"

    def _repr_html_(self) -> str:
        """Name, graph and metrics, for notebooks."""
        rows = []
        for split, values in self.metrics.items():
            for metric, value in values.items():
                rows.append([split, metric, f"{value:.6g}"])
        heading = f"<p><code>{escape(repr(self))}</code></p>"
        html = heading + graph_html(self.graph)
        if rows:
            html += table(["split", "metric", "value"], rows)
        return html

    def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Run every phase in turn; observers hear of its end, also by an error.

        Args:
            changed: Called between two phases, where the first may have changed a node.

        Raises:
            ConfigError: The run was loaded from its folder, without data.
        """
        if isinstance(self.source, NoData):
            raise self.source.error()
        registered: list[Any] = []
        try:
            self._register_observers(registered)
            self._run_observed(changed)
        finally:
            for observer in reversed(registered):
                self.plugins.manager.unregister(observer)

    def predict(self, cube: Any, /, **options: Any) -> PredictionView:
        """Apply the fitted pipeline to a cube, tile by tile where it is large.

        The values equal those of ``specloom predict`` bit for bit.

        Args:
            cube: A file, or an array (H, W, C) or (B, H, W, C) of NumPy, torch or xarray.
            options: As ``specloom_predict.Predictor.predict`` has them, such as ``valid=`` and
                ``wavelengths=``.

        Returns:
            The outputs by name and as attributes, in the kind of the cube.

        Raises:
            NodeError: A node is not fitted.
            DataError: The cube does not fit the pipeline.
            ConfigError: There is no such option.
            UnavailableError: The plugin ``predict`` is not installed.
        """
        predictor = self._warm_predictor()
        _require_options(options, predictor.predict)
        found: PredictionView = predictor.predict(cube, **options)
        return found

    def run_into(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Run every phase, and write into a folder what comes of it, as ``specloom run`` does.

        Args:
            folder: The folder, with the report where the run is observed.
            overwrite: Whether results of another run there may be replaced.

        Raises:
            ConfigError: Something is there already, and not ``overwrite``.
            UnavailableError: The folder cannot be written.
        """
        place = Path(folder)
        self.folder = place
        self._prepare_record()
        result_files.run_in_folder(self, place, anyway=overwrite)
        return place

    def save(self, folder: str | Path) -> Path:
        """Write pipeline, metrics and record, as ``specloom run --out`` does.

        The record of a run from Python has the run file that makes the same, so that
        ``specloom reproduce`` repeats it. Where no run file could, because its data or a phase are
        of no plugin, a warning says so.

        Raises:
            ConfigError: The class of a node is offered by no plugin.
            UnavailableError: The folder cannot be written.
        """
        place = Path(folder)
        self._prepare_record()
        result_files.write(self, place)
        return place

    def values(self, end: str, split: str = "test") -> Iterator[tuple[str, Any]]:
        """A value of each image of a split, computed when it is read.

        Args:
            end: The value, as ``node.port``, or the name of an output.
            split: The split.

        Yields:
            The name of the image, and its value as a NumPy array: of a map (H, W) or (H, W, K).

        Raises:
            ConfigError: There is no such split, or no data.
            GraphError: There is no such value, or not in that split.
            DataError: The data does not lead to it.
        """
        end = self.graph.outputs.get(end, end)
        raise_all(list(self.graph.wrong_end(end, "outputs")))
        names = self._image_names(split)
        plan = self.plan(split, [end])
        port = self.graph.port(end)
        number = 0
        with self.inference():
            for batch in self.batches(split):
                made = plan(batch).get(end)
                if made is None:
                    what = f"the images of the split {split!r} do not lead to {end}"
                    raise DataError(what, fix="use another split, or another value")
                for value in made:
                    name = names[number] if number < len(names) else str(number)
                    yield name, self._plain(value, port)
                    number += 1

    @property
    def scores(self) -> Any:
        """The scores of the first image of the test split, (H, W), or of the last split there is.

        They are the output called ``scores``; ``values`` gives those of all images.

        Raises:
            GraphError: The run has no output of that name.
            ConfigError: There are no data.
        """
        if "scores" not in self.graph.outputs:
            fix = "add 'scores: rx.scores' to its outputs, or use run.values('rx.scores')"
            raise GraphError("the run has no output 'scores'", fix=fix)
        split = "test"
        splits = list(self.source.splits())
        if splits and split not in splits:
            split = splits[-1]
        for _name, scores in self.values("scores", split):
            return scores
        raise DataError(f"the split {split!r} has no image", fix="check the data of the run")

    def _prepare_record(self) -> None:
        """Find out what the record of a run from Python says, in place of a run file."""
        if not self.plugins.modules:
            self.plugins = Plugins()
        has_data = not isinstance(self.source, NoData)
        if self.document.value is None and has_data:
            self._describe()

    def _describe(self) -> None:
        """Add to the record what a run file would have said, and where the run comes from."""
        try:
            self.document = described.run_file_of(
                self.graph,
                self.source,
                self.phases,
                self.plugins,
                seed=self.seed,
                metadata=self.metadata,
            )
        except ConfigError as e:
            what = f"the run cannot be reproduced from its folder: {e.what}"
            warn_of(ConfigError(what, fix=e.fix))
            return
        with suppress(SpecloomError):
            self.record.setdefault("splits", _values(self.describe_data()))
        self.record = {**described.circumstances(self), **self.record}

    def _image_names(self, split: str) -> list[str]:
        """The names of the images of a split, as far as the source says them."""
        if isinstance(self.source, NoData):
            raise self.source.error()
        description = None
        if isinstance(self.source, DescribesSplits):
            description = self.source.describe(split)
        if description is None:
            return []
        return [str(name) for name in description.values().get("names", ())]

    def _plain(self, value: Any, port: Port) -> Any:
        """The value of one image as a NumPy array, without a last axis of 1."""
        array = self.runtime.to_numpy(value)
        if port.names[-1:] == ("1",):
            return array[..., 0]
        return array

    def _warm_predictor(self) -> Any:
        """What applies the pipeline, made once for each fit.

        Raises:
            UnavailableError: No plugin makes it.
        """
        fitted_on = list(self.graph.fitted_on.values())
        if self._predictor is not None and _are_same(fitted_on, self._predictor_fit):
            return self._predictor
        plugins = self.plugins
        if not plugins.modules:
            plugins = Plugins()
        made = plugins.first_answer("make_predictor", run=self)
        if made is None:
            what = "no plugin applies pipelines to cubes"
            fix = "run: specloom plugins add predict, or: pip install specloom-predict"
            raise UnavailableError(what, fix=fix)
        self._predictor = made
        self._predictor_fit = fitted_on
        return made

    def skipped(self) -> Iterator[str]:
        """What the phases leave out for want of data, each with its place in the run file."""
        for number, (_label, phase) in enumerate(self.phases):
            skips = getattr(phase, "skips", None)
            if skips is None:
                continue
            prefix = ""
            place = self.graph.where("phases", number)
            if place:
                prefix = f"{place}: "
            for line in skips(self.graph):
                yield prefix + line

    def unfitted(self) -> list[SpecloomError]:
        """A warning for each node that no phase fits."""
        trainers = [phase for _label, phase in self.phases]
        return never_fitted(self.graph, trainers)

    def describe_data(self) -> dict[str, DescribedSplit]:
        """What the source says of each of its splits, without pixels of images.

        Raises:
            SpecloomError: The files of a split cannot be used.
        """
        return describe_splits(self.graph, self.source)

    def batches(self, split: str, what: str = "") -> Iterator[Batch]:
        """The batches of a split on the device; observers hear how far it has come.

        Args:
            split: The split.
            what: What observers call the work; by default the split.

        Raises:
            ConfigError: The source has no such split.
        """
        batches: Iterator[Batch] = self._read(split, what, self.source.batches)
        for batch in batches:
            yield self.adopt(batch)

    def windowed_batches(self, split: str, what: str = "") -> Iterator[Batch | ImageWindows]:
        """As ``batches``; where the source can, a large image comes as windows on the device.

        Args:
            split: The split.
            what: What observers call the work; by default the split.

        Raises:
            ConfigError: The source has no such split.
        """
        if not isinstance(self.source, WindowedSource):
            yield from self.batches(split, what)
            return
        for batch in self._read(split, what, self.source.windowed_batches):
            yield self.adopt_windows(batch)

    def _read(self, split: str, what: str, read: Callable[[str], Iterator[Any]]) -> Iterator[Any]:
        """What ``read`` gives of a split; observers hear how far it has come."""
        self.place()
        self._require_split(split)
        label = what or split
        progress = partial(self.hook.progress, run=self, what=label)
        total = self.source.count(split)
        progress(done=0, total=total)
        for done, batch in enumerate(read(split), start=1):
            yield batch
            progress(done=done, total=total)

    def adopt(self, batch: Batch) -> Batch:
        """A batch of the source on the device, after the entry nodes have looked at it."""
        for name in self.graph.entries:
            node = self.graph.nodes[name]
            if hasattr(node, "look_at_batch"):
                node.look_at_batch(batch)
        return self.runtime.adopt(batch, self.graph.batch)

    def adopt_windows(self, batch: Batch | ImageWindows) -> Batch | ImageWindows:
        """As ``adopt``; of an image in windows each when it is read."""
        if isinstance(batch, ImageWindows):
            return AdoptedWindows(self.graph, self.runtime, batch, self.adopt)
        return self.adopt(batch)

    def _require_split(self, split: str) -> None:
        """Raise ConfigError unless the source has a split."""
        splits = list(self.source.splits())
        if split in splits:
            return
        offered = ", ".join(splits)
        what = f"the data has no split {split!r}"
        where = self.graph.where("data")
        raise ConfigError(what, where=where, fix=f"use one of: {offered}")

    def plan(
        self,
        stage: str,
        want: Iterable[str] | None = None,
        *,
        fold: bool | None = None,
        provided: Iterable[str] = (),
        lazy: Iterable[str] = (),
        lazy_linear: Iterable[str] = (),
    ) -> Plan:
        """The graph compiled for a stage; see ``Plan``.

        Without ``want``, nodes for which the split of that name lacks data do not run.
        """
        self.place()
        without: list[str] = []
        if want is None:
            without = self.graph.missing_data(stage).nodes
        if fold is None:
            fold = self.fold
        return Plan(
            self.graph,
            stage,
            self.runtime,
            want,
            listener=self._node_listener(),
            fold=fold,
            provided=provided,
            lazy=lazy,
            lazy_linear=lazy_linear,
            without=without,
        )

    def inference(self) -> AbstractContextManager[None]:
        """A context without gradients, with every node in evaluation mode."""
        nodes = self.graph.nodes.values()
        return self.runtime.evaluation(nodes)

    def measured(
        self,
        stage: str,
        values: Mapping[str, Any],
        step: int = 0,
    ) -> dict[str, float]:
        """Log what a finished plan measured: its numbers, and its pictures.

        Args:
            stage: The stage that ended.
            values: The values by ``node.port``, as ``Plan.finish`` returns them.
            step: The step of training.

        Returns:
            The numbers by ``node/name``.
        """
        artifacts: dict[str, Any] = {}
        numbers: dict[str, float] = {}
        for end, value in values.items():
            node = node_of(end)
            port = self.graph.port(end)
            if port.dtype == "record" and isinstance(value, OnDemand):
                named = {f"{stage}/{node}/{key}": key for key in value}
                if named:
                    self.hook.artifacts(run=self, step=step, values=value.renamed(named))
            elif port.dtype == "record":
                for key, artifact in value.items():
                    artifacts[f"{stage}/{node}/{key}"] = artifact
            elif port.dtype == "scalars":
                for key, number in value.items():
                    numbers[f"{node}/{key}"] = _number(number)
        if artifacts:
            self.hook.artifacts(run=self, step=step, values=artifacts)
        self.log_metrics(stage, numbers, step)
        return numbers

    def log_metrics(
        self,
        stage: str,
        values: Mapping[str, float],
        step: int = 0,
    ) -> None:
        """Add numbers by ``node/name`` to the metrics of a stage; observers get them."""
        before = self.metrics.get(stage, {})
        self.metrics[stage] = {**before, **values}
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self.hook.recorded(run=self, step=step, values=named)

    def notify_fitted(self, name: str) -> None:
        """Notify observers that a node was fitted, with its own summary if it has one."""
        node = self.graph.nodes[name]
        if hasattr(node, "fit_summary"):
            summary = node.fit_summary()
        else:
            summary = type(node).__name__
        self.hook.node_fitted(run=self, node=name, summary=summary)

    def place(self) -> None:
        """Move the nodes to the device and seed them; done by itself before the first batch.

        Raises:
            DataError: Sizes are not known because a file of the data is not there.
        """
        if self._placed:
            return
        if self.graph.unbuilt:
            for split in self.source.splits():
                batches = iter(self.source.batches(split))
                next(batches, None)  # an absent file is an error here
        self.runtime.place(self.graph.nodes, self.seed)
        self._placed = True

    def _register_observers(self, registered: list[Any]) -> None:
        """Register an observer of each class that plugins offer, and add it to the list."""
        observers: dict[str, Any] = {LABEL: LogObserver()}
        if self.observed:
            observers = self.plugins.observers()
        for label, observer in observers.items():
            self.plugins.add(label, observer)
            registered.append(observer)

    def _run_observed(self, changed: Callable[[], None]) -> None:
        """Run the phases, and notify observers of the end, also by an error."""
        try:
            self._run_phases(changed)
        except BaseException as e:
            self.hook.run_ended(run=self, error=e)
            raise
        self.hook.run_ended(run=self, error=None)

    def _run_phases(self, changed: Callable[[], None]) -> None:
        """Run the phases, with warnings shown by observers where one shows them."""
        self.hook.run_started(run=self)
        for message in self.graph.notes():
            self._warn(message)
        for warning in self.unfitted():
            self._warn(str(warning))
        self._report_data()
        raise_all([*self.graph.missing_files(), *self._missing_data()])
        context: AbstractContextManager[None] = nullcontext()
        if self.hook.warned.get_hookimpls():
            context = warnings_to(self._warn)
        with context:
            for number, (label, phase) in enumerate(self.phases, start=1):
                self.hook.phase_started(run=self, name=label)
                phase.train(self)
                self.hook.phase_ended(run=self, name=label)
                is_last = number == len(self.phases)
                if not is_last and getattr(phase, "changes", True):
                    changed()
        self._record_data()

    def _missing_data(self) -> Iterator[SpecloomError]:
        """The files of the source that are not there."""
        missing = getattr(self.source, "missing", None)
        if missing is None:
            return
        place = self.graph.where("data")
        for error in missing():
            yield type(error)(error.what, where=error.where or place, fix=error.fix)

    def _report_data(self) -> None:
        """Report to observers what the source says of its splits, and warn of what does not fit.

        A file that cannot be used is no error here: the phase that reads it raises one.
        """
        if not self.observed and not self.hook.data_described.get_hookimpls():
            return
        with suppress(SpecloomError):
            splits = self.describe_data()
            self.record["splits"] = _values(splits)
            self.hook.data_described(run=self, splits=splits)
            for note in data_notes(self.graph, splits):
                self._warn(str(note))

    def _record_data(self) -> None:
        """Record what is known of the splits after they were read, such as all of their masks."""
        if "splits" in self.record:
            with suppress(SpecloomError):
                self.record["splits"] = _values(self.describe_data())

    def _warn(self, message: str) -> None:
        self.hook.warned(run=self, message=message)

    def _node_listener(self) -> Callable[..., None] | None:
        """What a plan calls after each node; None where no observer watches nodes."""
        if not self.hook.node_ran.get_hookimpls():
            return None
        return partial(self.hook.node_ran, run=self)


def _values(splits: Mapping[str, DescribedSplit]) -> dict[str, dict[str, Any]]:
    """The descriptions of splits as plain values."""
    return {split: dict(description.values()) for split, description in splits.items()}


def _require_options(options: Iterable[str], function: Callable[..., Any]) -> None:
    """Raise ConfigError where a function has no option of a name."""
    keywords = []
    for parameter in list(signature(function).parameters.values())[1:]:
        if parameter.kind != parameter.VAR_KEYWORD:
            keywords.append(parameter.name)
    for name in options:
        if name not in keywords:
            what = f"predict has no option {name!r}"
            raise ConfigError(what, fix=did_you_mean(name, keywords))


def _are_same(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two lists hold the same objects."""
    if len(values) != len(others):
        return False
    return all(value is other for value, other in zip(values, others, strict=True))


def _number(value: Any) -> int | float:
    """A count as it is, anything else as a floating-point number."""
    if type(value) is int:
        return value
    return float(value)
