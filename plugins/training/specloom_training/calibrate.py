"""Threshold calibration: the decider's threshold that does best on the validation split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import At, ConfigError, DataError, Graph, NodeError, Run, SpecloomError, did_you_mean
from specloom_metrics.curves import CRITERIA, best_threshold
from specloom_training.evaluate import check_split, describe_missing, say_skipped


class Calibrate:
    """A phase that sets a decider's threshold to the best one on a split, exactly.

    Every distinct logit that the decider reads on the split is tried, pooled over all its images.
    The masks, and the pixels that count, are those that the metrics node behind the decider is
    given. With its threshold the decider decides once more, and must reach the metric. Test
    data must not be used for this: the metrics of the test split would then be too good.

    Args:
        decider: The decider node; it needs an input ``logits``, an output ``decisions``
            and a method ``calibrate(logit_threshold)``.
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
        able = [name for name, node in graph.nodes.items() if _calibrates(node)]
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

    def skips(self, graph: Graph) -> list[str]:
        """That the threshold stays uncalibrated, where the split lacks masks."""
        targets = graph.incoming(_judge(graph, self.decider) or "")["targets"]
        if not graph.missing_data(self.split).values.issuperset(targets):
            return []
        why = describe_missing(graph, self.split)
        return [f"the threshold of {self.decider} stays uncalibrated: {why}"]

    def train(self, run: Run) -> None:
        """Find the threshold, give it to the decider, and let it decide again.

        On a split without masks the threshold stays as it is, with a warning.

        Raises:
            DataError: A batch has no mask.
            NodeError: With its threshold the decider does not reach the metric that was found.
        """
        skipped = self.skips(run.graph)
        if skipped:
            say_skipped(run, skipped)
            return
        split = _read(run, self.decider, self.split)
        threshold, value = best_threshold(split.scores(), split.truth(), self.metric)
        run.graph.nodes[self.decider].calibrate(threshold)
        reached = self._reached(split.decided(run), split.truth())
        if reached != value:
            what = f"{self.decider} was calibrated for {self.metric} {value:.6g} on {self.split!r}"
            raise NodeError(
                f"{what}, but its decisions reach {reached:.6g}",
                where=run.graph.where("nodes", self.decider),
                fix="let its calibrate() decide where logits reach the threshold, and its output "
                "depend on 'logits' alone",
            )
        run.log_metrics(self.split, {f"{self.decider}/calibrated_{self.metric}": value})

    def _reached(self, decided: Tensor, truth: Tensor) -> float:
        """The metric of decisions, of the same formula as the threshold was found with."""
        hits = np.array((decided & truth).sum().item())
        alarms = np.array((decided & ~truth).sum().item())
        anomalous = int(truth.sum())
        return float(CRITERIA[self.metric](hits, alarms, anomalous, truth.numel() - anomalous))


class _Split:
    """What the decider reads on a split, and the truth of its pixels, on the CPU."""

    def __init__(self, decider: str, stage: str, logits: str) -> None:
        self.decider = decider
        self.stage = stage
        self.logits = logits
        self.fed: list[dict[str, Any]] = []
        self.kept: list[Tensor] = []
        self._truth: list[Tensor] = []

    def add(self, fed: dict[str, Any], targets: Tensor, keep: Tensor) -> None:
        """Take in a batch; only the pixels in ``keep`` count."""
        self.fed.append({end: _on_cpu(value) for end, value in fed.items()})
        self.kept.append(keep.cpu())
        self._truth.append(targets[keep].cpu())

    def scores(self) -> Tensor:
        """The logits of all pixels that count."""
        pairs = zip(self.fed, self.kept, strict=True)
        return torch.cat([fed[self.logits][keep] for fed, keep in pairs])

    def truth(self) -> Tensor:
        """Whether each of them is anomalous."""
        return torch.cat(self._truth)

    def decided(self, run: Run) -> Tensor:
        """Whether the decider, as it is now, decides for each of them."""
        end = f"{self.decider}.decisions"
        ends = _ends(run.graph, self.decider)
        ports = {one: run.graph.port(one) for one in ends}
        plan = run.plan(self.stage, [end], provided=ends)
        found = []
        with run.inference():
            for fed, keep in zip(self.fed, self.kept, strict=True):
                decisions = plan(run.runtime.adopt(fed, ports))[end]
                found.append(decisions.cpu()[keep])
        return torch.cat(found)


def _read(run: Run, decider: str, stage: str) -> _Split:
    """Read a split once: the decider's own inputs, and the judge's targets and valid pixels."""
    graph = run.graph
    own = _ends(graph, decider)
    logits = graph.incoming(decider)["logits"][0]
    judged = graph.incoming(_judge(graph, decider) or "")
    targets = judged["targets"][0]
    valid = judged.get("valid", [""])[0]
    plan = run.plan(stage, {*own, targets, *filter(None, [valid])})
    split = _Split(decider, stage, logits)
    with run.inference():
        for batch in run.batches(stage, f"calibrating {decider}"):
            values = plan(batch)
            if values[targets] is None:
                raise DataError(
                    f"{decider} is calibrated with {targets}, and a batch of {stage!r} has none",
                    where=graph.where("data"),
                    fix="use data with a mask for each image, or remove training.Calibrate",
                )
            keep = torch.isfinite(values[logits])
            if valid and values[valid] is not None:
                keep &= values[valid]
            fed = {end: values[end] for end in own}
            split.add(fed, values[targets], keep)
    return split


def _ends(graph: Graph, name: str) -> set[str]:
    """The values that a node reads, as ``node.port``."""
    return {end for ends in graph.incoming(name).values() for end in ends}


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value


def _calibrates(node: Any) -> bool:
    ports = "logits" in node.inputs and "decisions" in node.outputs
    return ports and hasattr(node, "calibrate")


def _judge(graph: Graph, decider: str) -> str | None:
    """The node that is given the decider's decisions and the targets."""
    for name in graph.nodes:
        feeds = graph.incoming(name)
        given = [end for ends in feeds.values() for end in ends]
        if any(end.startswith(f"{decider}.") for end in given) and "targets" in feeds:
            return name
    return None
