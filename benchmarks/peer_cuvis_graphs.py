"""cuvis-ai's graphs, as its tutorials build them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from cuvis_ai.node.channel_selector import SoftChannelSelector
from cuvis_ai.node.conversion import ScoreToLogit
from cuvis_ai.node.data import LentilsAnomalyDataNode
from cuvis_ai.node.deciders.binary_decider import BinaryDecider
from cuvis_ai.node.losses import (
    AnomalyBCEWithLogits,
    SelectorDiversityRegularizer,
    SelectorEntropyRegularizer,
)
from cuvis_ai.node.metrics import AnomalyDetectionMetrics
from cuvis_ai.node.normalization import MinMaxNormalizer
from cuvis_ai_core.pipeline.pipeline import CuvisPipeline


class Batches:
    """Batches as the peer's trainers ask for them."""

    def __init__(self, batches: list[dict[str, torch.Tensor]]) -> None:
        self.batches = batches

    def setup(self, stage: str | None = None) -> None:
        """Nothing is to be set up."""

    def train_dataloader(self) -> list[dict[str, torch.Tensor]]:
        """The batches themselves."""
        return self.batches


def labelled(data: Mapping[str, Any]) -> list[dict[str, torch.Tensor]]:
    """Batches as the peer's sources give them."""
    made = []
    for cube, mask in zip(data["batches"], data["masks"], strict=True):
        centres = torch.arange(data["C"], dtype=torch.int32).expand(len(cube), data["C"])
        made.append({"cube": cube, "mask": mask.to(torch.int32), "wavelengths": centres})
    return made


class Detector:
    """The detector, or the tutorial's graph with a selector before RX."""

    def __init__(self, channels: int, selecting: bool = False) -> None:
        self.data, self.norm = LentilsAnomalyDataNode(normal_class_ids=[0]), MinMaxNormalizer()
        self.rx, self.head = RXGlobal(num_channels=channels), ScoreToLogit()
        self.decider, self.pipeline = BinaryDecider(threshold=0.5), CuvisPipeline("bench")
        pairs = [
            (self.data.outputs.cube, self.norm.inputs.data),
            (self.rx.outputs.scores, self.head.inputs.scores),
            (self.head.outputs.logits, self.decider.inputs.logits),
        ]
        if selecting:
            pairs += self._selecting(channels)
        else:
            pairs.append((self.norm.outputs.normalized, self.rx.inputs.data))
        self.pipeline.connect(*pairs)

    def _selecting(self, channels: int) -> list[tuple[Any, Any]]:
        self.selector = SoftChannelSelector(
            n_select=3, input_channels=channels, init_method="variance"
        )
        bce = AnomalyBCEWithLogits(name="bce", weight=10.0)
        entropy = SelectorEntropyRegularizer(name="entropy", weight=0.1)
        diversity = SelectorDiversityRegularizer(name="diversity", weight=0.01)
        metrics = AnomalyDetectionMetrics(name="metrics_anomaly")
        self.losses = [bce, entropy, diversity]
        return [
            (self.norm.outputs.normalized, self.selector.inputs.data),
            (self.selector.outputs.selected, self.rx.inputs.data),
            (self.head.outputs.logits, bce.inputs.predictions),
            (self.data.outputs.mask, bce.inputs.targets),
            (self.selector.outputs.weights, entropy.inputs.weights),
            (self.selector.outputs.weights, diversity.inputs.weights),
            (self.decider.outputs.decisions, metrics.inputs.decisions),
            (self.data.outputs.mask, metrics.inputs.targets),
        ]

    def fit(self, source: Any) -> None:
        """The statistical phase."""
        from cuvis_ai_core.training import StatisticalTrainer

        StatisticalTrainer(pipeline=self.pipeline, datamodule=source).fit()
