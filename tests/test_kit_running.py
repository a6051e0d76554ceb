"""The conformance kit is held to account by nodes that run wrongly in one way each."""

import pytest
import torch

from specloom import LazyAffine, LazyLinear, Port
from specloom.testing import failures_of
from specloom.torch import StatisticalNode, TorchNode

DATA = Port("B H W C", doc="Cubes.")
SCORES = Port("B H W 1", doc="Scores.")


class Bare(TorchNode):
    inputs = {"data": DATA}
    outputs = {"bright": Port("B H W C", doc="The cube times a gain for each band.")}
    locality = "pixel"
    trainable = ("gain",)

    def build(self, sizes):
        self.register_buffer("gain", torch.linspace(1, 2, sizes["C"]))

    def forward(self, data):
        return {"bright": data * self.gain}


class Gain(Bare):
    affine_output = "bright"

    def forward_lazy(self, data):
        return {"bright": LazyAffine(data, self.gain.double(), torch.zeros(1).double(), data.dtype)}


class Score(TorchNode):
    inputs = {"scores": SCORES}
    outputs = {"decisions": Port("B H W 1", dtype="bool", doc="True where the score is high.")}
    locality = "pixel"

    def forward(self, scores):
        return {"decisions": scores > 0.5}


class StripMaximum:
    """The work of ``Highest`` on one image, strip by strip."""

    def __init__(self):
        self.highest = torch.tensor(-torch.inf)

    def scan(self, scores):
        self.highest = torch.fmax(self.highest, highest_of(scores))

    def join(self):
        pass

    def apply(self, scores):
        return {"decisions": scores >= self.highest}


class Highest(Score):
    locality = "image"

    def forward(self, scores):
        return {"decisions": scores >= highest_of(scores)}

    def strip_passes(self):
        return StripMaximum()


def highest_of(scores):
    return scores.nan_to_num(-torch.inf).amax((1, 2, 3), keepdim=True)


def test_good_nodes_pass_every_check():
    assert failures_of(Gain) == failures_of(Score) == failures_of(Highest) == {}


class WritesIntoInput(Gain):
    def forward(self, data):
        return {"bright": data.mul_(self.gain)}


class Restless(Gain):
    calls = 0.0

    def forward(self, data):
        self.calls += 1e-3
        return {"bright": data * self.gain + self.calls}


class DependsOnBatch(Bare):
    def forward(self, data):
        return super().forward(data - data.nanmean())


class DependsOnImage(Bare):
    def forward(self, data):
        return super().forward(data - data.nanmean((1, 2, 3), keepdim=True))


class SpreadsNaN(Score):
    locality = "image"

    def forward(self, scores):
        return {"decisions": scores > scores.mean((1, 2, 3), keepdim=True)}


class SpreadsNaNScores(Bare):
    locality = "image"

    def forward(self, data):
        return super().forward(data / data.amax((1, 2, 3), keepdim=True))


class HidesNaN(Score):
    def forward(self, scores):
        return {"decisions": ~(scores <= 0.5)}


class FillsNaN(Gain):
    def forward(self, data):
        return super().forward(data.nan_to_num())


class ForgetsState(Gain):
    trainable = ()

    def build(self, sizes):
        self.register_buffer("gain", torch.rand(sizes["C"]), persistent=False)


class TakesAnyState(Gain):
    def restore(self, state):
        self.load_state_dict(dict(state), strict=False)


class SavesPlainValues(Gain):
    def state(self):
        return {**super().state(), "factor": 2.0}

    def restore(self, state):
        super().restore({k: v for k, v in state.items() if k != "factor"})


class ForgetsItsEpoch(Bare):
    epoch = 0

    def on_epoch(self, epoch, max_epochs):
        self.epoch = epoch

    def forward(self, data):
        return super().forward(data + self.epoch)


class NeverFrozen(Gain):
    def build(self, sizes):
        self.gain = torch.nn.Parameter(torch.linspace(1, 2, sizes["C"]))


class FreezesToOnes(Gain):
    def freeze(self):
        super().freeze()
        self.gain = torch.ones_like(self.gain)


class Detached(Gain):
    def forward(self, data):
        return {"bright": data * self.gain.detach()}


class InfiniteGradient(Gain):
    trainable = ()

    def forward(self, data):
        return {"bright": ((data - data).abs() ** 0.5 + data) * self.gain}


class UsesTorchsGenerator(Gain):
    def forward(self, data):
        return super().forward(data + torch.randn_like(data) if self.training else data)


class TellsWrongScale(Gain):
    def forward_lazy(self, data):
        made = super().forward_lazy(data)["bright"]
        return {"bright": LazyAffine(data, made.scale * 2, made.offset, data.dtype)}


class MapsNoOutput(Gain):
    affine_output = "dark"


class NamesNoOutput(Gain):
    affine_output = property()


class MapsNoLinearOutput(Gain):
    linear_output = "dark"


class AbsorbsLinearNoInput(Gain):
    affine_input = "data"
    linear_input = "bands"


class AbsorbsLinearWrongly(Gain):
    affine_input = linear_input = "data"

    def forward(self, data):
        if isinstance(data, LazyLinear):
            return super().forward((data.data.double() @ data.matrix.T).float())
        if isinstance(data, LazyAffine):
            data = (data.data.double() * data.scale + data.offset).float()
        return super().forward(data)


class AbsorbsNoInput(Gain):
    affine_input = "scores"


class AbsorbsWrongly(Gain):
    affine_input = "data"

    def forward(self, data):
        return super().forward(data.data * data.scale if isinstance(data, LazyAffine) else data)


class FitsMappedWrongly(StatisticalNode):
    inputs = {"data": DATA}
    outputs = {"shifted": Port("B H W C", doc="The cube without the mean of all its values.")}
    locality = "pixel"
    affine_input = "data"

    def build(self, sizes):
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))

    def fit_start(self, pass_):
        self.fitted, self.sums = False, torch.zeros(2, dtype=torch.float64)

    def fit_update(self, data):
        values = data.data if isinstance(data, LazyAffine) else data
        usable = values[values.isfinite().all(-1)]
        self.sums = self.sums + torch.stack([usable.double().sum(), torch.tensor(usable.numel())])

    def fit_state(self):
        return {"sums": self.sums}

    def fit_merge(self, state):
        self.sums = self.sums + state["sums"]

    def fit_end(self):
        self.total.copy_(self.sums[0] / self.sums[1])
        self.finish_fit(int(self.sums[1]))

    def forward(self, data):
        if isinstance(data, LazyAffine):
            data = (data.data * data.scale + data.offset).float()
        return {"shifted": data - self.total.float()}


class AsksNumpy(Gain):
    def forward(self, data):
        return {"bright": data * torch.from_numpy(self.gain.detach().numpy())}


class IndexesByMask(Score):
    def forward(self, scores):
        decisions = torch.zeros_like(scores, dtype=torch.bool)
        decisions[scores > 0.5] = scores[scores > 0.5] > 0.5
        return {"decisions": decisions}


class Branches(Score):
    def forward(self, scores):
        if (scores > 0.5).all():
            return {"decisions": torch.ones_like(scores, dtype=torch.bool)}
        return super().forward(scores)


class LastStripMaximum(StripMaximum):
    def scan(self, scores):
        self.highest = highest_of(scores)


class SeesTheLastStrip(Highest):
    def strip_passes(self):
        return LastStripMaximum()


WRONG = {
    WritesIntoInput: {"inputs_are_left_alone", "gradient_is_finite"},
    Restless: {
        "same_twice",
        "batch_of_two_equals_two_of_one",
        "locality_is_true",
        "nan_is_contained",
        "freeze_round_trips",
        "forward_lazy_equals_forward",
    },
    DependsOnBatch: {"batch_of_two_equals_two_of_one", "locality_is_true", "nan_is_contained"},
    DependsOnImage: {"locality_is_true", "nan_is_contained"},
    SpreadsNaN: {"nan_is_contained"},
    SpreadsNaNScores: {"nan_is_contained"},
    HidesNaN: {"nan_is_contained"},
    FillsNaN: {"nan_is_contained"},
    ForgetsState: {"state_round_trips"},
    TakesAnyState: {"foreign_state_is_refused"},
    SavesPlainValues: {"state_round_trips", "foreign_state_is_refused"},
    ForgetsItsEpoch: {"state_round_trips"},
    NeverFrozen: {"frozen_at_first"},
    FreezesToOnes: {"freeze_round_trips"},
    Detached: {"gradient_arrives"},
    InfiniteGradient: {"gradient_is_finite"},
    UsesTorchsGenerator: {"generator_seeded"},
    TellsWrongScale: {"forward_lazy_equals_forward"},
    MapsNoOutput: {"forward_lazy_equals_forward"},
    NamesNoOutput: {"protocols_are_whole"},
    MapsNoLinearOutput: {"forward_lazy_equals_forward"},
    AbsorbsLinearNoInput: {"lazy_input_equals_values", "linear_input_equals_values"},
    AbsorbsLinearWrongly: {"linear_input_equals_values"},
    AbsorbsNoInput: {"lazy_input_equals_values"},
    AbsorbsWrongly: {"lazy_input_equals_values"},
    FitsMappedWrongly: {"lazy_input_equals_values", "valid_is_offered"},
    AsksNumpy: {"never_waits_for_the_device", "gradient_arrives"},
    IndexesByMask: {"never_waits_for_the_device"},
    SeesTheLastStrip: {"strips_equal_the_image"},
    Branches: {"never_waits_for_the_device"},
}


@pytest.mark.parametrize(
    ("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_wrong_nodes_fail_exactly_their_checks(cls, caught):
    assert set(failures_of(cls)) == caught
