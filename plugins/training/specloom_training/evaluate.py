"""Evaluation: one pass over a split, with the metrics pooled over all of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from specloom import (
    At,
    ConfigError,
    Executor,
    Graph,
    Loss,
    Metric,
    Run,
    SpecloomError,
    did_you_mean,
)
from specloom_training import processes
from specloom_training.domain import DomainWatch
from specloom_training.history import note_phase, observed_end
from specloom_training.measure_job import measure_by_job
from specloom_training.windowed import WindowedStage

if TYPE_CHECKING:
    from specloom import Pipeline

SPLITS = ("train", "val", "test")


def losses_of(graph: Graph, stage: str = "train") -> list[str]:
    """The loss nodes that run in a stage, in running order."""
    nodes: dict[str, Any] = graph.nodes
    return [
        name
        for name in graph.order
        if isinstance(nodes[name], Loss)
        and "loss" in nodes[name].outputs
        and stage in graph.stages[name]
    ]


def measured_losses(graph: Graph, split: str) -> list[str]:
    """The loss nodes that can run on a split, in running order."""
    starved = graph.missing_data(split).nodes
    return [name for name in losses_of(graph, split) if name not in starved]


def nodes_on(graph: Graph, split: str) -> list[str]:
    """The nodes that run on a split, but for those for which it lacks data."""
    starved = graph.missing_data(split).nodes
    return [name for name in graph.order if split in graph.stages[name] and name not in starved]


def describe_missing(graph: Graph, split: str) -> str:
    """What the data lacks in a split, as a clause for messages."""
    names = " and no ".join(graph.missing_outputs[split])
    return f"the data has no {names} in the split {split!r}"


def describe_skipped(graph: Graph, split: str) -> list[str]:
    """One line for a split that cannot be evaluated, or for each node that cannot run on it."""
    running = [name for name in graph.order if split in graph.stages[name]]
    starved = [name for name in graph.missing_data(split).nodes if name in running]
    if not starved:
        return []
    why = describe_missing(graph, split)
    losses = losses_of(graph, split)
    measuring = {name for name in running if isinstance(graph.nodes[name], Metric)}
    measuring.update(losses)
    if measuring <= set(starved):
        return [f"the evaluation of {split!r} is skipped: {why}"]
    return [f"{name} is skipped in {split!r}: {why}" for name in starved]


def warn_skipped(run: Run, lines: Iterable[str]) -> None:
    """Warn of what is skipped, and record it for ``run.json``."""
    for line in lines:
        skipped = run.record.setdefault("skipped", [])
        if line not in skipped:
            skipped.append(line)
            warnings.warn(line, stacklevel=4)


def check_split(split: str, graph: Graph, at: At) -> Iterable[SpecloomError]:
    """The error of a split that no stage is named after, or in which there is no image."""
    if split not in SPLITS:
        yield ConfigError(
            f"there is no split {split!r}", where=at("split"), fix=did_you_mean(split, SPLITS)
        )
    elif split not in graph.splits:
        yield ConfigError(
            f"the data has no image in the split {split!r}",
            where=at("split"),
            fix=f"assign images to it, or use one of: {', '.join(graph.splits)}",
        )


def evaluate(
    run: Run,
    split: str,
    step: int = 0,
    executor: Executor | None = None,
    watch: DomainWatch | None = None,
    plan: Any = None,
) -> dict[str, float]:
    """Run a split once without gradients; metrics and losses by ``node/name``, pooled over it.

    What needs data that the split lacks, such as masks, is skipped with a warning.
    Of several processes the first one measures everything, and sends it to the others.

    Args:
        run: The run.
        split: The split.
        step: The step of training.
        executor: Who works on shares of the data, where source and nodes allow it; None for
            this process, batch by batch.
        watch: Compares each cube with what the pipeline was fitted on; None for no comparison.
            Executors do not compare.
        plan: The graph compiled for the split; None to compile it.
    """
    processes.join()
    found: dict[str, float] = {}
    if processes.rank() == 0:
        found = _measure(run, split, step, executor, watch, plan)
    if processes.count() > 1:
        found = processes.broadcast(found)
        run.metrics[split] = {**run.metrics.get(split, {}), **found}
    return found


def _measure(
    run: Run,
    split: str,
    step: int,
    executor: Executor | None,
    watch: DomainWatch | None,
    plan: Any,
) -> dict[str, float]:
    warn_skipped(run, describe_skipped(run.graph, split))
    losses = PooledLosses(run.graph, measured_losses(run.graph, split))
    if plan is None:
        plan = run.plan(split)
    if run.graph.missing_data(split).nodes and not losses.names and not plan.metrics:
        return {}
    plan.start()
    by_job = executor is not None and measure_by_job(
        run, executor, plan.metrics, losses.names, split, watch
    )
    with run.inference():
        if not by_job:
            windowed = WindowedStage(run, split, plan)
            for batch in run.windowed_batches(split, f"evaluating {split}"):
                windowed(batch, watch)
                losses.add_batch()
        metrics = run.measured(split, plan.finish(), step)
    means = losses.means()
    if means:
        run.log_metrics(split, means, step)
    if watch is not None:
        watch.report(split)
    return metrics | means


class PooledLosses:
    """The losses of a split, each its sum over all batches by what it counted.

    Args:
        graph: The graph.
        names: The loss nodes.
    """

    def __init__(self, graph: Graph, names: Iterable[str]) -> None:
        self.graph = graph
        self.names = list(names)
        self._totals = dict.fromkeys(self.names, 0.0)
        self._counts = dict.fromkeys(self.names, 0.0)

    def add_batch(self) -> None:
        """Add what the losses counted in the batch that has just run."""
        for name in self.names:
            total, count = self.graph.nodes[name].pooled()
            self._totals[name] += float(total)
            self._counts[name] += float(count)

    def means(self) -> dict[str, float]:
        """The mean of each loss that counted something, by ``node/loss``."""
        return {
            f"{name}/loss": self._totals[name] / count
            for name, count in self._counts.items()
            if count
        }


def evaluate_noted(pipeline: Pipeline, run: Run, split: str) -> dict[str, float]:
    """The phase ``Evaluate``, for trainers in Python: it is in the pipeline's history."""
    started = perf_counter()
    phase = Evaluate(split)
    with observed_end(run):
        phase.train(run)
    note_phase(pipeline, run, ("training.Evaluate", phase), started)
    return dict(run.metrics.get(split, {}))


class Evaluate:
    """A phase that measures one split: ``metrics.json`` gets its metrics.

    Args:
        split: ``train``, ``val`` or ``test``; the stage of the same name runs on it.
    """

    changes = False

    def __init__(self, split: str = "test") -> None:
        self.split = split

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a split that does not exist, and a graph that measures nothing."""
        yield from check_split(self.split, graph, at)
        if self.split in SPLITS and not self._measures(graph):
            yield ConfigError(
                f"no node measures anything in the stage {self.split!r}",
                where=at(""),
                fix="add a metrics.AnomalyDetectionMetrics node, or remove this phase",
            )

    def _measures(self, graph: Graph) -> bool:
        return any(
            isinstance(graph.nodes[name], Metric)
            for name, stages in graph.stages.items()
            if self.split in stages
        )

    def uses_fits(self, graph: Graph) -> list[str]:
        """All nodes that run on the split."""
        return nodes_on(graph, self.split)

    def skips(self, graph: Graph) -> list[str]:
        """What cannot be measured, because the split lacks masks."""
        return describe_skipped(graph, self.split)

    def train(self, run: Run) -> None:
        """Measure the split; by a job where the run has an executor, and source and nodes can."""
        evaluate(run, self.split, executor=run.executor, watch=DomainWatch(run))
