"""One run: a graph, a source of batches, phases, and the observers that watch."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError
from specloom.contract.nodes import Batch
from specloom.contract.phases import Trainer
from specloom.contract.sources import Source
from specloom.execution.plan import Plan
from specloom.graph.graph import Graph
from specloom.plugins import Plugins
from specloom.runfile import build
from specloom.runfile.yaml import Document, override, read

if TYPE_CHECKING:
    from specloom.contract.runtime import Runtime


class Run:
    """What phases and observers are given.

    Args:
        graph: The graph.
        source: Where batches come from.
        phases: The phases, each with its reference.
        plugins: The plugins; their observers watch the run if ``observed``.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: The seed of every generator.
        metadata: Name, description, tags and author, as the run file gives them.
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
        self.graph, self.source, self.phases = graph, source, list(phases)
        self.plugins = plugins or Plugins({})
        self.seed, self.metadata, self.observed = seed, dict(metadata or {}), observed
        self.runtime: Runtime = self.plugins.runtime(device)
        #: The last value of each metric: ``{"test": {"node/name": value}}``.
        self.metrics: dict[str, dict[str, float]] = {}
        #: Where results go, if anywhere; whether what is there is to be continued; whether plans
        #: for other stages than training fold affine nodes.
        self.folder: Path | None = None
        self.resumed, self.fold = False, True
        #: What observers add to ``run.json``.
        self.record: dict[str, Any] = {}
        #: The hooks that watch: ``run.hook.recorded(run=run, …)``.
        self.hook: Any = self.plugins.manager.hook
        self._placed = False

    def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Run every phase in turn, with observers told, also of the end by an error.

        Args:
            changed: Called between two phases, where the first may have changed a node.
        """

        def ended(_kind: object, error: BaseException | None, _trace: object) -> None:
            self.hook.run_ended(run=self, error=error)

        with ExitStack() as at_end:
            for label, observer in (self.plugins.observers() if self.observed else {}).items():
                self.plugins.add(label, observer)
                at_end.callback(self.plugins.manager.unregister, observer)
            at_end.push(ended)
            self.hook.run_started(run=self)
            for message in self.graph.unread():
                self.hook.warned(run=self, message=message)
            at_end.enter_context(warnings.catch_warnings())
            if self.hook.warned.get_hookimpls():
                warnings.showwarning = lambda m, *_: self.hook.warned(run=self, message=str(m))
            for number, (label, phase) in enumerate(self.phases, start=1):
                self.hook.phase_started(run=self, name=label)
                phase.train(self)
                self.hook.phase_ended(run=self, name=label)
                if number < len(self.phases) and getattr(phase, "changes", True):
                    changed()

    def skipped(self) -> Iterator[str]:
        """What the phases will leave out for want of data, each with its place in the run file."""
        for number, (_, phase) in enumerate(self.phases):
            place = self.graph.where("phases", number)
            skips = getattr(phase, "skips", None)
            if skips is None:
                continue
            for line in skips(self.graph):
                yield f"{place}: {line}" if place else line

    def batches(self, split: str, what: str = "") -> Iterator[Batch]:
        """The batches of a split on the device; observers are told how far it has come.

        Raises:
            ConfigError: The source has no such split.
        """
        self.place()
        if split not in (splits := list(self.source.splits())):
            what, fix = f"the data has no split {split!r}", f"use one of: {', '.join(splits)}"
            raise ConfigError(what, where=self.graph.where("data"), fix=fix)
        total = self.source.count(split)
        self.hook.progress(run=self, what=what or split, done=0, total=total)
        for done, batch in enumerate(self.source.batches(split), start=1):
            yield self.runtime.adopt(batch, self.graph.batch)
            self.hook.progress(run=self, what=what or split, done=done, total=total)

    def plan(
        self,
        stage: str,
        want: Iterable[str] | None = None,
        *,
        fold: bool | None = None,
        given: Iterable[str] = (),
        lazy: Iterable[str] = (),
    ) -> Plan:
        """The graph compiled for a stage; see ``Plan``.

        Without ``want``, nodes for which the split of that name lacks data do not run.
        """
        self.place()
        fold = self.fold if fold is None else fold
        tell = partial(self.hook.node_ran, run=self) if self.hook.node_ran.get_hookimpls() else None
        without = self.graph.starved(stage) if want is None else []
        return Plan(self.graph, stage, self.runtime, want, tell, fold, given, lazy, without)

    def inference(self) -> AbstractContextManager[None]:
        """A context without gradients, with every node in evaluation mode."""
        return self.runtime.evaluation(self.graph.nodes.values())

    def measured(self, stage: str, values: Mapping[str, Any], step: int = 0) -> dict[str, float]:
        """Keep a finished plan's numbers and give them by ``node/name``; show its pictures."""
        ends = [(end.partition(".")[0], self.graph.port(end).dtype, values[end]) for end in values]
        shown = {
            f"{stage}/{n}/{key}": one
            for n, kind, made in ends
            if kind == "record"
            for key, one in made.items()
        }
        if shown:
            self.hook.artifacts(run=self, step=step, values=shown)
        found = {
            f"{n}/{key}": one if type(one) is int else float(one)
            for n, kind, made in ends
            if kind == "scalars"
            for key, one in made.items()
        }
        self.log_metrics(stage, found, step)
        return found

    def log_metrics(self, stage: str, values: Mapping[str, float], step: int = 0) -> None:
        """Keep numbers by ``node/name`` among the metrics of a stage, and tell observers."""
        self.metrics[stage] = {**self.metrics.get(stage, {}), **values}
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self.hook.recorded(run=self, step=step, values=named)

    def notify_fitted(self, name: str) -> None:
        """Tell observers that a node was fitted, and to what if it says so."""
        node = self.graph.nodes[name]
        summary = node.fit_summary() if hasattr(node, "fit_summary") else type(node).__name__
        self.hook.node_fitted(run=self, node=name, summary=summary)

    def place(self) -> None:
        """Move the nodes to the device and seed them; done by itself before the first batch.

        Raises:
            DataError: Sizes are not known because a file of the data is not there.
        """
        if self._placed:
            return
        for split in self.source.splits() if self.graph.unbuilt else ():
            next(iter(self.source.batches(split)), None)  # an absent file says so itself
        self.runtime.place(self.graph.nodes, self.seed)
        self._placed = True


def load(
    path: str | Path | Document,
    overrides: Sequence[str] = (),
    *,
    plugins: Plugins | None = None,
    device: str = "auto",
    seed: int | None = None,
    observed: bool = False,
) -> Run:
    """Read a run file and build and check what it names, without reading a pixel.

    Args:
        path: The run file, or what it holds.
        overrides: Changes such as ``nodes.rx.config.eps=0``.
        plugins: Where names are looked up; by default the nearest manifest, else what is installed.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: In place of the file's own.
        observed: Whether observers of plugins watch the run.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` tells several things at once.
    """
    document = path if isinstance(path, Document) else read(Path(path))
    if isinstance(document.value, dict) and "state" in document.value:
        fix = "apply it with 'specloom predict DIR INPUT', or give the run file that it came from"
        raise ConfigError("a saved pipeline is not a run file", where=document.where(), fix=fix)
    for text in overrides:
        override(document, text)
    file, problems = build.interpret(document)
    plugins = plugins or Plugins.for_file(Path(document.name))
    made = build.assemble(file, problems, plugins)
    about = {"name": Path(document.name).stem, **file.metadata}
    seed = file.seed if seed is None else seed
    return Run(*made, plugins=plugins, device=device, seed=seed, metadata=about, observed=observed)
