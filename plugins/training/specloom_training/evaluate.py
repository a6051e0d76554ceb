"""Evaluation: one pass over a split, with the metrics pooled over all of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from specloom import At, ConfigError, Graph, Loss, Metric, Run, SpecloomError, did_you_mean
from specloom_training import processes

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


def describe_missing(graph: Graph, split: str) -> str:
    """What the data has not, as a message says it."""
    return f"the data has no {' and no '.join(graph.missing_outputs[split])} in the split {split!r}"


def left_out(graph: Graph, split: str) -> list[str]:
    """One line for the evaluation of a split that cannot be, or for each node that cannot run."""
    losses = losses_of(graph, split)
    running = [name for name in graph.order if split in graph.stages[name]]
    measuring = [n for n in running if n in losses or isinstance(graph.nodes[n], Metric)]
    starved = [name for name in graph.missing_data(split).nodes if name in running]
    if not starved:
        return []
    if {*measuring} <= {*starved}:
        return [f"the evaluation of {split!r} is skipped: {describe_missing(graph, split)}"]
    return [f"{name} is skipped in {split!r}: {describe_missing(graph, split)}" for name in starved]


def say_skipped(run: Run, lines: Iterable[str]) -> None:
    """Warn of what is skipped, and keep it for ``run.json``."""
    for line in lines:
        known = run.record.setdefault("skipped", [])
        if line not in known:
            known.append(line)
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
            fix=f"give it some, or use one of: {', '.join(graph.splits)}",
        )


def evaluate(run: Run, split: str, step: int = 0) -> dict[str, float]:
    """Run a split once without gradients; metrics and losses by ``node/name``, pooled over it.

    What needs data that the split lacks, such as masks, is skipped with a warning.
    Of several processes the first one measures everything, and tells the others.
    """
    processes.join()
    found = _measure(run, split, step) if processes.rank() == 0 else {}
    if processes.count() > 1:
        found = processes.from_first(found)
        run.metrics[split] = {**run.metrics.get(split, {}), **found}
    return found


def _measure(run: Run, split: str, step: int) -> dict[str, float]:
    say_skipped(run, left_out(run.graph, split))
    losses = measured_losses(run.graph, split)
    plan = run.plan(split)
    if run.graph.missing_data(split).nodes and not losses and not plan.metrics:
        return {}
    pooled = {name: [0.0, 0.0] for name in losses}
    plan.start()
    with run.inference():
        for batch in run.batches(split, f"evaluating {split}"):
            plan(batch)
            for name, sums in pooled.items():
                for i, one in enumerate(run.graph.nodes[name].pooled()):
                    sums[i] += float(one)
        found = run.measured(split, plan.finish(), step)
    means = {f"{name}/loss": total / count for name, (total, count) in pooled.items() if count}
    if means:
        run.log_metrics(split, means, step)
    return found | means


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
        running = [n for n, stages in graph.stages.items() if self.split in stages]
        if self.split in SPLITS and not any(isinstance(graph.nodes[n], Metric) for n in running):
            yield ConfigError(
                f"no node measures anything in the stage {self.split!r}",
                where=at(""),
                fix="add a metrics.AnomalyDetectionMetrics node, or remove this phase",
            )

    def skips(self, graph: Graph) -> list[str]:
        """What cannot be measured, because the split lacks masks."""
        return left_out(graph, self.split)

    def train(self, run: Run) -> None:
        """Measure the split."""
        evaluate(run, self.split)
