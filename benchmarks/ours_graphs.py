"""The graphs that several benchmarks use, built as in the tutorials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from specloom import Pipeline
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_deciders import BinaryDecider
from specloom_normalize import MinMaxNormalizer
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import StatisticalTrainer


def batch_of(cube: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """A labelled batch as a source gives it."""
    return {"cube": cube, "mask": mask.to(torch.int32)}


def source_of(data: Mapping[str, Any]) -> InMemory:
    """The batches of a workload as a source."""
    pairs = zip(data["batches"], data["masks"], strict=True)
    return InMemory(train=[batch_of(*pair) for pair in pairs])


class Detector:
    """Data, normaliser, RX, logit head and decider, connected."""

    def __init__(self) -> None:
        self.data = AnomalyDataNode(normal_class_ids=[0], name="data")
        self.norm, self.rx = MinMaxNormalizer(name="norm"), RXGlobal(name="rx")
        self.head, self.decider = ScoreToLogit(name="head"), BinaryDecider(name="decider")
        self.pipeline = Pipeline("detector")
        self.pipeline.connect(
            (self.data.outputs.cube, self.norm.data),
            (self.norm.normalized, self.rx.data),
            (self.rx.scores, self.head.scores),
            (self.head.logits, self.decider.logits),
        )

    def fit(self, source: InMemory) -> float:
        """Fit all of it; the score that becomes a logit of 0."""
        StatisticalTrainer(pipeline=self.pipeline, datamodule=source).fit()
        return float(self.head.score_mean + 2 * self.head.score_std)


def selecting() -> tuple[Detector, list[Any]]:
    """The tutorial's graph: a soft selector before RX, a loss and two regularisers."""
    from specloom_losses import (
        AnomalyBCEWithLogits,
        SelectorDiversityRegularizer,
        SelectorEntropyRegularizer,
    )
    from specloom_metrics import AnomalyDetectionMetrics
    from specloom_selectors import SoftChannelSelector

    one = Detector()
    selector = SoftChannelSelector(3, init_method="variance", gumbel=True, name="selector")
    bce = AnomalyBCEWithLogits(weight=10.0, name="bce")
    entropy = SelectorEntropyRegularizer(weight=0.1, name="entropy")
    diversity = SelectorDiversityRegularizer(weight=0.01, name="diversity")
    metrics = AnomalyDetectionMetrics(name="metrics")
    one.pipeline = Pipeline("selecting")
    one.pipeline.connect(
        (one.data.outputs.cube, one.norm.data),
        (one.norm.normalized, selector.data),
        (selector.selected, one.rx.data),
        (one.rx.scores, one.head.scores),
        (one.head.logits, one.decider.logits),
        (one.head.logits, bce.predictions),
        (one.data.outputs.mask, bce.targets),
        (selector.outputs.weights, entropy.weights),
        (selector.outputs.weights, diversity.weights),
        (one.decider.decisions, metrics.decisions),
        (one.data.outputs.mask, metrics.targets),
    )
    return one, [bce, entropy, diversity]


def labelled_source(cube: torch.Tensor) -> InMemory:
    """A cube (1, H, W, C) as a source whose every pixel is normal."""
    return InMemory(train=[batch_of(cube, torch.zeros(cube.shape[:3]))])
