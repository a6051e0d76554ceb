"""A source, nodes and a loss for the tests of gradient training; also a plugin of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specloom import Graph, Port, Run, impl
from specloom.contract.ports import Connection
from specloom.torch import TorchNode
from specloom_deciders.binary import BinaryDecider
from specloom_metrics.anomaly import AnomalyDetectionMetrics

CUBE, MASK = Port("B H W C", doc="Cubes."), Port("B H W 1", dtype="bool", doc="Masks.")


class Scenes:
    """Cubes of 8 x 8 x 5 in which anomalies are brighter in the first band."""

    outputs = {"cube": CUBE, "mask": MASK}

    def __init__(self, images: int = 6, batch_size: int = 2, seed: int = 0) -> None:
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.read_numbers: list[int] = []

    def sizes(self) -> Mapping[str, int]:
        return {"H": 8, "W": 8, "C": 5}

    def splits(self):
        return ("train", "val", "test") if self.images else ("val", "test")

    def items(self, split: str) -> int:
        return self.images if split == "train" else 4

    def count(self, split: str) -> int:
        return -(-self.items(split) // self.batch_size)

    def read(self, split: str, numbers: Any) -> dict[str, Any]:
        self.read_numbers += numbers if split == "train" else []
        made = [self._scene(split, number) for number in numbers]
        return {name: np.stack([one[i] for one in made]) for i, name in enumerate(self.outputs)}

    def _scene(self, split: str, number: int):
        rng = np.random.default_rng([self.seed, len(split), number])
        mask = rng.random((8, 8, 1)) < 0.2
        cube = rng.normal(size=(8, 8, 5)) + mask * np.array([2.0, 0, 0, 0, 0])
        return cube.astype("float32"), mask

    def batches(self, split: str):
        for first in range(0, self.items(split), self.batch_size):
            last = min(first + self.batch_size, self.items(split))
            yield self.read(split, [*range(first, last)])


class InTurn(Scenes):
    """The same, but only in its own order."""

    items = None

    def count(self, split: str) -> int:
        return -(-(self.images if split == "train" else 4) // self.batch_size)

    def batches(self, split: str):
        number = self.images if split == "train" else 4
        for first in range(0, number, self.batch_size):
            yield self.read(split, [*range(first, min(first + self.batch_size, number))])

    def read(self, split, numbers):
        return Scenes.read(self, split, numbers)


class Double(TorchNode):
    """Something frozen in front; counts how many images it saw."""

    inputs, outputs = {"data": CUBE}, {"doubled": CUBE}
    locality = "pixel"

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, data: Tensor):
        self.seen += len(data)
        return {"doubled": data * 2}


class Weigh(TorchNode):
    """A weighted sum of the bands, divided by a temperature; noise while training on request."""

    inputs = {"data": CUBE}
    outputs = {"logits": Port("B H W 1", doc="Logits."), "used": Port("C", doc="Weights.")}
    trainable = ("weights", "bias")
    locality = "pixel"

    def __init__(self, noise: float = 0.0, decay: float = 0.9, warns: str = "") -> None:
        super().__init__()
        self.noise, self.decay, self.warns = noise, decay, warns

    def build(self, sizes):
        self.register_buffer("weights", torch.zeros(sizes["C"]))
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("temperature", torch.ones(()))

    def on_epoch(self, epoch: int, max_epochs: int) -> None:
        self.temperature.fill_(max(0.2, self.decay**epoch))

    def schedule_values(self):
        return {"temperature": float(self.temperature)}

    def epoch_artifacts(self):
        return {"largest": str(int(self.weights.argmax()))}

    def diagnose(self):
        return self.warns or None

    def forward(self, data: Tensor):
        weights = self.weights
        if self.training and self.noise:
            drawn = torch.randn(weights.shape, generator=self.generator)
            weights = weights + self.noise * drawn
        logits = (data @ weights[:, None] + self.bias) / self.temperature
        return {"logits": logits, "used": self.weights}


class Bce(TorchNode):
    """Cross-entropy of logits."""

    inputs = {
        "logits": Port("B H W 1", doc="Logits."),
        "targets": Port("B H W 1", dtype="bool", doc="Targets."),
    }
    outputs = {"loss": Port("", doc="The loss.")}

    def __init__(self, weight: float = 1.0, breaks_at: int = 0, rows: bool = False) -> None:
        super().__init__()
        self.weight, self.breaks_at, self.rows = weight, breaks_at, rows
        self.calls = 0

    def forward(self, logits: Tensor, targets: Tensor):
        self.calls += self.training or torch.is_grad_enabled()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets.float(), reduction="none"
        )
        if self.breaks_at and self.calls == self.breaks_at:
            each = each * torch.nan
        if self.rows:  # only those that hold an anomaly count
            each = each[targets.any(2)[..., 0]]
        self.sums = self.weight * each.sum(), torch.tensor(float(each.numel()))
        return {"loss": self.sums[0] / self.sums[1].clamp(min=1)}

    def pooled(self):
        return self.sums


class Small(TorchNode):
    """A penalty on logits."""

    inputs = {"logits": Port("B H W 1", doc="Logits.")}
    outputs = {"loss": Port("", doc="The loss.")}

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor):
        self.sums = self.weight * logits.square().sum(), torch.tensor(float(logits.numel()))
        return {"loss": self.sums[0] / self.sums[1]}

    def pooled(self):
        return self.sums


class Flat(TorchNode):
    """A penalty on weights, which reads no image."""

    inputs = {"used": Port("C", doc="Weights.")}
    outputs = {"loss": Port("", doc="The loss.")}

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, used: Tensor):
        self.value = self.weight * used.square().sum()
        return {"loss": self.value}

    def pooled(self):
        return self.value, torch.tensor(1.0)


def nodes_of(**options: Any) -> dict[str, Any]:
    return {
        "double": Double(),
        "weigh": Weigh(**options),
        "decider": BinaryDecider(),
        "bce": Bce(),
        "metrics": AnomalyDetectionMetrics(),
    }


LINKS = [
    Connection("batch.cube", "double.data"),
    Connection("double.doubled", "weigh.data"),
    Connection("weigh.logits", "bce.logits"),
    Connection("batch.mask", "bce.targets"),
    Connection("weigh.logits", "decider.logits"),
    Connection("decider.decisions", "metrics.decisions"),
    Connection("weigh.logits", "metrics.logits"),
    Connection("batch.mask", "metrics.targets"),
]


def run_of(nodes: Any = None, source: Any = None, links: Any = None, **options: Any) -> Run:
    source = source or Scenes()
    nodes = nodes or nodes_of(**options)
    known = {"batch_sizes": source.sizes(), "splits": source.splits()}
    graph = Graph(nodes, links or LINKS, batch=source.outputs, **known)
    return Run(graph, source, device="cpu")


@impl
def register_nodes() -> Mapping[str, str]:
    return {name: f"training_toys:{name}" for name in ("Double", "Weigh")}


@impl
def register_losses() -> Mapping[str, str]:
    return {name: f"training_toys:{name}" for name in ("Bce", "Flat", "Small")}


@impl
def register_sources() -> Mapping[str, str]:
    return {"Scenes": "training_toys:Scenes"}
