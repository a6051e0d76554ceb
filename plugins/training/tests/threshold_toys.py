"""Sources of ready scores, and runs with each decider, for the tests of thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np

from specloom import Graph, Port, Run
from specloom.contract.ports import Connection
from specloom_metrics.anomaly import AnomalyDetectionMetrics

LOGITS = Port("B H W 1", doc="Logits.")
MASK = Port("B H W 1", dtype="bool", doc="Anomalies.")
VALID = Port("B H W 1", dtype="bool", doc="Pixels that can be decided.")


class Scores:
    """Scores (N, H, W) of a validation and a test split, with masks where there are any."""

    outputs = {"logits": LOGITS, "mask": MASK, "valid": VALID}

    def __init__(
        self,
        scores: Any,
        mask: Any = None,
        valid: Any = None,
        *,
        batch: int = 1,
        test: Any = None,
    ) -> None:
        self.scores = np.asarray(scores, "float32")
        self.mask = np.zeros(self.scores.shape, bool) if mask is None else mask
        self.valid = np.ones(self.scores.shape, bool) if valid is None else valid
        self.batch = batch
        self.test = self.scores + 1 if test is None else np.asarray(test, "float32")

    def sizes(self):
        return {}

    def splits(self):
        return ("train", "val", "test")

    def count(self, split):
        return None

    def batches(self, split):
        scores = self.test if split == "test" else self.scores
        for first in range(0, len(scores), self.batch):
            part = slice(first, first + self.batch)
            yield {
                "logits": scores[part][..., None],
                "mask": self.mask[part][..., None],
                "valid": self.valid[part][..., None],
            }


def run_of(source: Any, decider: Any, *, masked: bool = False, phases: Any = ()) -> Run:
    """A run in which the decider reads scores and valid pixels; measured where ``masked``."""
    nodes = {"decider": decider}
    links = [
        Connection("batch.logits", "decider.logits"),
        Connection("batch.valid", "decider.valid"),
    ]
    if masked:
        nodes["metrics"] = AnomalyDetectionMetrics()
        links += [
            Connection("decider.decisions", "metrics.decisions"),
            Connection("batch.logits", "metrics.logits"),
            Connection("batch.mask", "metrics.targets"),
            Connection("batch.valid", "metrics.valid"),
        ]
    return Run(Graph(nodes, links, batch=source.outputs), source, phases)


def smooth_scores(images: int, size: int = 16, seed: int = 0) -> Any:
    """Scores (N, H, W) in which neighbours are alike."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(images, size, size))
    return (10 * ndimage.gaussian_filter(noise, (0, 1, 1))).astype("float32")
