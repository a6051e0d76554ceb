"""The conformance kit on metrics, losses, sources, trainers, observers and commands."""

import click
import numpy as np
import pytest
import torch

from kit_toys import Scenes
from specloom import Port, impl
from specloom.testing import failures_of
from specloom.torch import TorchNode


class Mean(TorchNode):
    inputs = {"scores": Port("B H W 1", doc="Scores.")}
    outputs = {"mean": Port(dtype="scalars", per_stage=True, doc="The mean of a stage.")}
    locality = "image"

    def measure_start(self, stage):
        self.total, self.count = 0.0, 0

    def forward(self, scores):
        self.total, self.count = self.total + scores.double().sum(), self.count + scores.numel()
        return {}

    def measure_end(self):
        return {"mean": {"mean": float(self.total) / self.count}}


class LargestOfBatches(Mean):
    def forward(self, scores):
        self.total, self.count = self.total + scores.double().max(), self.count + 1
        return {}


class NeverForgets(Mean):
    total, count = 0.0, 0

    def measure_start(self, stage):
        self.total = self.total + 1


class GivesOther(Mean):
    def measure_end(self):
        return {"average": super().measure_end()["mean"]}


class MergingMean(Mean):
    def measure_start(self, stage):
        self.total = torch.zeros((), dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.int64)

    def measure_state(self):
        return {"total": self.total, "count": self.count}

    def measure_merge(self, state):
        self.total = self.total + state["total"]
        self.count = self.count + state["count"]


class MergesHalf(MergingMean):
    measure_merge = None


class MergeReplaces(MergingMean):
    def measure_merge(self, state):
        self.total = state["total"]
        self.count = state["count"]


class MergeRounds(MergingMean):
    def measure_merge(self, state):
        super().measure_merge({**state, "total": state["total"].float()})


class Squares(TorchNode):
    inputs = {"scores": Port("B H W 1", doc="Scores.")}
    outputs = {"loss": Port("", doc="The weighted mean of the squared scores.")}
    locality = "batch"

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, scores):
        self.total, self.count = (scores**2).sum(), torch.tensor(float(scores.numel()))
        return {"loss": self.weight * self.total / self.count}

    def pooled(self):
        return self.total, self.count


class VectorLoss(Squares):
    def forward(self, scores):
        return {"loss": super().forward(scores)["loss"].reshape(1)}


class PoolsWrongly(Squares):
    def pooled(self):
        return self.total, self.count + 1


class MissesOne(Scenes):
    count = None


class OtherSplit(Scenes):
    def splits(self):
        return ["train", "testing"]

    def count(self, split):
        return None


class Miscounts(Scenes):
    def count(self, split):
        return 3


class WrongBands(Scenes):
    def sizes(self):
        return {"C": self.bands + 1}


class WrongPort(Scenes):
    outputs = {"cubes": Port("B H W C", doc="Cubes.")}


class Unseeded(Scenes):
    def batches(self, split):
        for batch in super().batches(split):
            yield {"cube": batch["cube"] + np.random.default_rng().random((), "float32")}


class Phase:
    def __init__(self, epochs: int = 3) -> None:
        self.epochs = epochs

    def check(self, graph, at):
        return []

    def train(self, run):
        pass


class PhaseOfTwo(Phase):
    train = None


class Watcher:
    @impl
    def run_started(self, run):
        pass


class WatcherOfNothing:
    pass


class WatchesUnknown:
    @impl
    def run_stopped(self, run):
        pass


class WantsUnknown:
    @impl
    def run_started(self, run, colour):
        pass


class NeedsArgument(Watcher):
    def __init__(self, folder):
        self.folder = folder


@click.command(help="Say hello.")
def hello():
    pass


@click.command()
def mute():
    pass


KINDS = [
    ("nodes", Mean, set()),
    ("nodes", LargestOfBatches, {"measures_a_stage"}),
    ("nodes", NeverForgets, {"measures_a_stage"}),
    ("nodes", GivesOther, {"measures_a_stage"}),
    ("nodes", MergingMean, set()),
    ("nodes", MergesHalf, {"protocols_are_whole"}),
    ("nodes", MergeReplaces, {"measure_merges"}),
    ("nodes", MergeRounds, {"merge_of_one_part_is_exact"}),
    ("losses", Squares, set()),
    ("losses", VectorLoss, {"loss_is_weighted", "outputs_are_honest"}),
    ("losses", PoolsWrongly, {"loss_is_weighted"}),
    ("sources", Scenes, set()),
    ("sources", MissesOne, {"source_is_whole", "batches_match_the_source"}),
    ("sources", OtherSplit, {"source_is_whole"}),
    ("sources", Miscounts, {"batches_match_the_source"}),
    ("sources", WrongBands, {"batches_match_the_source"}),
    ("sources", WrongPort, {"batches_match_the_source"}),
    ("sources", Unseeded, {"source_same_twice"}),
    ("trainers", Phase, set()),
    ("trainers", PhaseOfTwo, {"trainer_is_whole"}),
    ("observers", Watcher, set()),
    ("observers", WatcherOfNothing, {"observer_needs_nothing"}),
    ("observers", WatchesUnknown, {"observer_needs_nothing"}),
    ("observers", WantsUnknown, {"observer_needs_nothing"}),
    ("observers", NeedsArgument, {"observer_needs_nothing"}),
    ("commands", hello, set()),
    ("commands", mute, {"command_is_documented"}),
    ("commands", Phase, {"command_is_documented"}),
]


@pytest.mark.parametrize(("kind", "offered", "caught"), KINDS)
def test_what_is_offered_fails_exactly_its_checks(kind, offered, caught):
    assert set(failures_of(offered, kind)) == caught
