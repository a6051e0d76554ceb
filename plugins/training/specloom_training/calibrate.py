"""Threshold calibration: the decider's threshold that does best on the validation split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch

from specloom import At, ConfigError, Graph, Run, SpecloomError, did_you_mean
from specloom_metrics.curves import CRITERIA, best_threshold
from specloom_training.evaluate import check_split


class Calibrate:
    """A phase that sets a decider's threshold to the best one on a split, exactly.

    Every distinct logit of the split is tried, pooled over all its images. The masks are those
    that the metrics node behind the decider is given. Test data must not be used for this: the
    metrics of the test split would then be too good.

    Args:
        decider: The decider node; it needs a method ``calibrate(logit_threshold)``.
        metric: What is maximised: ``f1``, ``iou`` or ``youden``.
        split: ``val``, or ``train`` where there is no validation data.
    """

    example: ClassVar = {"decider": "decider"}

    def __init__(self, decider: str, metric: str = "f1", split: str = "val") -> None:
        self.decider, self.metric, self.split = decider, metric, split

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a wrong decider, metric or split, and a decider whose decisions nobody measures."""
        yield from check_split(self.split, graph, at)
        if self.split == "test":
            yield ConfigError(
                "calibrating on the test split makes its metrics worthless",
                where=at("split"),
                fix="use split: val",
            )
        if self.metric not in CRITERIA:
            yield ConfigError(
                f"no threshold can be calibrated for {self.metric!r}",
                where=at("metric"),
                fix=did_you_mean(self.metric, CRITERIA),
            )
        able = [name for name, node in graph.nodes.items() if hasattr(node, "calibrate")]
        if self.decider not in able:
            known = self.decider in graph.nodes
            yield ConfigError(
                f"node {self.decider!r} has no threshold to calibrate"
                if known
                else f"there is no node {self.decider!r}",
                where=at("decider"),
                fix=did_you_mean(self.decider, able, otherwise="add a deciders.BinaryDecider node"),
            )
        elif _judge(graph, self.decider) is None:
            yield ConfigError(
                f"nothing tells which decisions of {self.decider!r} are right",
                where=at("decider"),
                fix=f"connect {self.decider}.decisions and a mask to a metrics node",
            )

    def train(self, run: Run) -> None:
        """Find the threshold and give it to the decider."""
        graph = run.graph
        feeds = graph.feeding(self.decider) | graph.feeding(_judge(graph, self.decider) or "")
        ends = {port: feeds[port][0] for port in ("logits", "targets", "valid") if port in feeds}
        plan = run.plan(self.split, ends.values())
        logits, targets = [], []
        with run.inference():
            for batch in run.batches(self.split, f"calibrating {self.decider}"):
                values = plan(batch)
                score = values[ends["logits"]]
                keep = torch.isfinite(score)
                if "valid" in ends and (valid := values[ends["valid"]]) is not None:
                    keep &= valid
                logits.append(score[keep].cpu())
                targets.append(values[ends["targets"]][keep].cpu())
        threshold, value = best_threshold(torch.cat(logits), torch.cat(targets), self.metric)
        graph.nodes[self.decider].calibrate(threshold)
        run.keep(self.split, {f"{self.decider}/calibrated_{self.metric}": value})


def _judge(graph: Graph, decider: str) -> str | None:
    """The node that is given the decider's decisions and the targets."""
    for name in graph.nodes:
        feeds = graph.feeding(name)
        given = [end for ends in feeds.values() for end in ends]
        if any(end.startswith(f"{decider}.") for end in given) and "targets" in feeds:
            return name
    return None
