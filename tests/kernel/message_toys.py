"""A run file that is good, its plugin, and what is reported of it when it is changed."""

from types import ModuleType

import pytest

import specloom
from specloom import ConfigError, NodeError, Plugins, Port, Ported, SpecloomError, impl

CUBE, SCORES = Port("B H W C"), Port("B H W 1")


class Scenes:
    """Knows its sizes from headers; reading a pixel is a failure."""

    outputs = {"cube": CUBE, "mask": Port("B H W", dtype="int32")}

    def __init__(self, batch_size: int = 1) -> None:
        self.batch_size = batch_size

    def sizes(self):
        if self.batch_size == 13:
            raise OSError("the header is torn")
        return {"H": 10, "W": 10, "C": 61}

    def splits(self):
        return ["train", "test"]

    def count(self, split):
        return 1

    def batches(self, split):
        raise AssertionError("a pixel was read")


class Toy(Ported):
    """A node of a graph that is checked, and never runs."""

    def forward(self, **arrays):
        raise AssertionError("it ran")


class AnomalyData(Toy):
    inputs = {"cube": CUBE, "mask": Port("B H W", dtype="integer", optional=True)}
    outputs = {"cube": CUBE, "mask": Port("B H W 1", dtype="bool", optional=True)}
    entry = True

    def __init__(self, normal_class_ids: list[int]) -> None:
        self.normal_class_ids = normal_class_ids


class MinMax(Toy):
    inputs = {"data": CUBE}
    outputs = {"normalized": CUBE}

    def __init__(self, eps: float = 1e-6) -> None:
        self.eps = eps

    def build(self, sizes):
        if self.eps < 0:
            raise ConfigError(f"eps is {self.eps}", fix="give an eps from 0")


class RXGlobal(Toy):
    inputs = {"data": Port("B H W num_channels", doc="The cube.")}
    outputs = {"scores": SCORES}

    def __init__(
        self, num_channels: int | None = None, eps: float = 1e-6, cache_inverse: bool = True
    ) -> None:
        self.num_channels, self.eps, self.cache_inverse = num_channels, eps, cache_inverse


class Decider(Toy):
    inputs = {"logits": SCORES}
    outputs = {"decisions": Port("B H W 1", dtype="bool")}

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold


class Clumsy(RXGlobal):
    """Fails where it should only store."""

    def __init__(self, num_channels: int | None = None) -> None:
        raise ZeroDivisionError("in __init__")


class Entropy(Toy):
    """A loss."""

    inputs = {"scores": SCORES}
    outputs = {"loss": Port("")}

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def pooled(self):
        raise AssertionError("it ran")


class Train:
    def __init__(self, unfreeze: list[str] | None = None, losses: list[str] | None = None) -> None:
        self.unfreeze, self.losses = unfreeze or [], losses or []

    def losses_of(self, graph):
        return self.losses

    def check(self, graph, at):
        for name in self.unfreeze:
            if name not in graph.nodes:
                yield NodeError(f"there is no node {name!r}", where=at("unfreeze"), fix="mend it")

    def train(self, run):
        raise AssertionError("it ran")


@pytest.fixture
def plugins():
    toy = ModuleType("toy")

    def offers(*names):
        return {name: f"{__name__}:{name}" for name in names}

    def register_nodes():
        return offers("AnomalyData", "MinMax", "RXGlobal", "Decider", "Clumsy")

    def register_sources():
        return offers("Scenes")

    def register_trainers():
        return offers("Train")

    def register_losses():
        return offers("Entropy")

    for hook in (register_nodes, register_losses, register_sources, register_trainers):
        setattr(toy, hook.__name__, impl(hook))
    return Plugins({"toy": toy, "broken": "no_such_module_anywhere"})


GOOD = """\
specloom: 1
data: {type: toy.Scenes}
nodes:
  data:
    type: toy.AnomalyData
    config: {normal_class_ids: [0, 1]}
  normalizer:
    type: toy.MinMax
  rx:
    type: toy.RXGlobal
    config:
      eps: 1e-6
  decider: {type: toy.Decider}
connections:
  - [data.cube, normalizer.data]
  - [normalizer.normalized, rx.data]
  - [rx.scores, decider.logits]
phases:
  - type: toy.Train
    config: {unfreeze: [rx]}
outputs: {decisions: decider.decisions}
"""


@pytest.fixture
def reported(tmp_path, plugins, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def reported(*changes, overrides=()):
        text = GOOD
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(SpecloomError) as caught:
            specloom.load("run.yaml", overrides, plugins=plugins, device="cpu")
        assert caught.value.exit_code == 2
        return str(caught.value)

    return reported
