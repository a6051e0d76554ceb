"""Evaluation: one pass over a split, with the metrics pooled over all of it."""

from __future__ import annotations

from collections.abc import Iterable

from specloom import At, ConfigError, Graph, Measures, Run, SpecloomError, did_you_mean

SPLITS = ("train", "val", "test")


def check_split(split: str, at: At) -> Iterable[SpecloomError]:
    """The error of a split that no stage is named after."""
    if split not in SPLITS:
        yield ConfigError(
            f"there is no split {split!r}", where=at("split"), fix=did_you_mean(split, SPLITS)
        )


def evaluate(run: Run, split: str, step: int = 0) -> dict[str, float]:
    """Run a split once without gradients; its metrics by ``node/name``, pooled over all batches."""
    plan = run.plan(split)
    plan.start()
    with run.inference():
        for batch in run.batches(split, f"evaluating {split}"):
            plan(batch)
        return run.measured(split, plan.finish(), step)


class Evaluate:
    """A phase that measures one split: ``metrics.json`` gets its metrics.

    Args:
        split: ``train``, ``val`` or ``test``; the stage of the same name runs on it.
    """

    def __init__(self, split: str = "test") -> None:
        self.split = split

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a split that does not exist, and a graph that measures nothing."""
        yield from check_split(self.split, at)
        running = [n for n, stages in graph.stages.items() if self.split in stages]
        if self.split in SPLITS and not any(isinstance(graph.nodes[n], Measures) for n in running):
            yield ConfigError(
                f"no node measures anything in the stage {self.split!r}",
                where=at(""),
                fix="add a metrics.AnomalyDetectionMetrics node, or remove this phase",
            )

    def train(self, run: Run) -> None:
        """Measure the split."""
        evaluate(run, self.split)
