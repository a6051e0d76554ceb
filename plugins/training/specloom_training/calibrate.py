"""Threshold calibration: the decider's threshold that does best on the validation split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import At, ConfigError, DataError, Graph, NodeError, Run, SpecloomError, did_you_mean
from specloom_metrics import CRITERIA, best_threshold
from specloom_training.evaluate import check_split, describe_missing, warn_skipped


class Calibrate:
    """A phase that sets a decider's threshold to the best one on a split, exactly.

    Every distinct logit that the decider reads on the split is tried, pooled over all its images.
    The masks, and the pixels that count, are those that the metrics node behind the decider
    reads. With its threshold the decider decides once more, and must reach the metric. Test
    data must not be used for this: the metrics of the test split would then be too good.

    Args:
        decider: The decider node; it needs an input ``logits``, an output ``decisions``
            and a method ``calibrate(logit_threshold)``.
        metric: What is maximised: ``f1``, ``iou`` or ``youden``.
        split: ``val``, or ``train`` where there is no validation data.
    """

    example: ClassVar = {"decider": "decider"}

    def __init__(self, decider: str, metric: str = "f1", split: str = "val") -> None:
        self.decider = decider
        self.metric = metric
        self.split = split

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a wrong decider, metric or split, and a decider whose decisions are not measured."""
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
        able = [name for name, node in graph.nodes.items() if _has_threshold(node)]
        if self.decider not in able:
            yield self._no_threshold(graph, able, at)
        elif _metric_node(graph, self.decider) is None:
            yield ConfigError(
                f"no metrics node compares the decisions of {self.decider!r} with a mask",
                where=at("decider"),
                fix=f"connect {self.decider}.decisions and a mask to a metrics node",
            )

    def _no_threshold(self, graph: Graph, able: Sequence[str], at: At) -> SpecloomError:
        what = f"there is no node {self.decider!r}"
        if self.decider in graph.nodes:
            what = f"node {self.decider!r} has no threshold to calibrate"
        fix = did_you_mean(self.decider, able, otherwise="add a deciders.BinaryDecider node")
        return ConfigError(what, where=at("decider"), fix=fix)

    def uses_fits(self, graph: Graph) -> set[str]:
        """The nodes that lead to the logits of the decider."""
        if self.skips(graph):
            return set()
        return graph.ancestors(_inputs_of(graph, self.decider))

    def skips(self, graph: Graph) -> list[str]:
        """That the threshold stays uncalibrated, where the split lacks masks."""
        targets = _inputs_of_metric_node(graph, self.decider)["targets"]
        if not graph.missing_data(self.split).values.issuperset(targets):
            return []
        why = describe_missing(graph, self.split)
        return [f"the threshold of {self.decider} stays uncalibrated: {why}"]

    def train(self, run: Run) -> None:
        """Find the threshold, set the decider to it, and let it decide again.

        On a split without masks the threshold stays as it is, with a warning.

        Raises:
            DataError: A batch has no mask.
            NodeError: With its threshold the decider does not reach the metric that was found.
        """
        skipped = self.skips(run.graph)
        if skipped:
            warn_skipped(run, skipped)
            return
        pixels = _read(run, self.decider, self.split)
        threshold, expected = best_threshold(pixels.logits(), pixels.targets(), self.metric)
        run.graph.nodes[self.decider].calibrate(threshold)
        reached = self._metric_of(pixels.decisions(run), pixels.targets())
        if reached != expected:
            raise NodeError(
                f"{self.decider} was calibrated for {self.metric} {expected:.6g} on "
                f"{self.split!r}, but its decisions reach {reached:.6g}",
                where=run.graph.where("nodes", self.decider),
                fix="let its calibrate() decide where logits reach the threshold, and its output "
                "depend on 'logits' alone",
            )
        run.log_metrics(self.split, {f"{self.decider}/calibrated_{self.metric}": expected})

    def _metric_of(self, decisions: Tensor, targets: Tensor) -> float:
        """The metric of decisions, by the same formula as the threshold was found with."""
        true_positives = np.array((decisions & targets).sum().item())
        false_positives = np.array((decisions & ~targets).sum().item())
        anomalous = int(targets.sum())
        normal = targets.numel() - anomalous
        criterion = CRITERIA[self.metric]
        return float(criterion(true_positives, false_positives, anomalous, normal))


class _CountedPixels:
    """What the decider reads on a split, and the targets of the pixels that count, on the CPU.

    Args:
        decider: The decider.
        stage: The stage of the split.
        logits: The value that the decider reads as logits, as ``node.port``.
    """

    def __init__(self, decider: str, stage: str, logits: str) -> None:
        self._decider = decider
        self._stage = stage
        self._logits = logits
        self._inputs: list[dict[str, Any]] = []
        self._counted: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, inputs: dict[str, Any], targets: Tensor, counted: Tensor) -> None:
        """Add a batch; only the pixels in ``counted`` count."""
        self._inputs.append({end: _on_cpu(value) for end, value in inputs.items()})
        self._counted.append(counted.cpu())
        self._targets.append(targets[counted].cpu())

    def logits(self) -> Tensor:
        """The logits of all pixels that count."""
        pairs = zip(self._inputs, self._counted, strict=True)
        return torch.cat([inputs[self._logits][counted] for inputs, counted in pairs])

    def targets(self) -> Tensor:
        """Whether each of them is anomalous."""
        return torch.cat(self._targets)

    def decisions(self, run: Run) -> Tensor:
        """Whether the decider, as it is now, decides for each of them."""
        output = f"{self._decider}.decisions"
        ends = _inputs_of(run.graph, self._decider)
        ports = {end: run.graph.port(end) for end in ends}
        plan = run.plan(self._stage, [output], provided=ends)
        found = []
        with run.inference():
            for inputs, counted in zip(self._inputs, self._counted, strict=True):
                values = plan(run.runtime.adopt(inputs, ports))
                found.append(values[output].cpu()[counted])
        return torch.cat(found)


def _read(run: Run, decider: str, stage: str) -> _CountedPixels:
    """Read a split once: the decider's inputs, and the metrics node's targets and valid pixels."""
    graph = run.graph
    decider_inputs = _inputs_of(graph, decider)
    logits = graph.incoming(decider)["logits"][0]
    metric_inputs = _inputs_of_metric_node(graph, decider)
    targets = metric_inputs["targets"][0]
    wanted = {*decider_inputs, targets, *metric_inputs.get("valid", [])}
    plan = run.plan(stage, wanted)
    pixels = _CountedPixels(decider, stage, logits)
    with run.inference():
        for batch in run.batches(stage, f"calibrating {decider}"):
            values = plan(batch)
            if values[targets] is None:
                raise DataError(
                    f"{decider} is calibrated with {targets}, and a batch of {stage!r} has none",
                    where=graph.where("data"),
                    fix="use data with a mask for each image, or remove training.Calibrate",
                )
            counted = torch.isfinite(values[logits])
            for valid in metric_inputs.get("valid", []):
                if values[valid] is not None:
                    counted &= values[valid]
            inputs = {end: values[end] for end in decider_inputs}
            pixels.add(inputs, values[targets], counted)
    return pixels


def _inputs_of(graph: Graph, name: str) -> set[str]:
    """The values that a node reads, as ``node.port``."""
    return set(chain.from_iterable(graph.incoming(name).values()))


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return value


def _has_threshold(node: Any) -> bool:
    if "logits" not in node.inputs or "decisions" not in node.outputs:
        return False
    return hasattr(node, "calibrate")


def _metric_node(graph: Graph, decider: str) -> str | None:
    """The node that reads the decider's decisions and the targets."""
    for name in graph.nodes:
        if "targets" not in graph.incoming(name):
            continue
        if any(end.startswith(f"{decider}.") for end in _inputs_of(graph, name)):
            return name
    return None


def _inputs_of_metric_node(graph: Graph, decider: str) -> dict[str, list[str]]:
    """What that node reads, by port."""
    name = _metric_node(graph, decider)
    if name is None:
        return {}
    return graph.incoming(name)
