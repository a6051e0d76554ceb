"""The conformance kit is held to account by nodes that are wrong in one way each."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import LazyAffine, Port
from specloom.testing import checks_of, failures_of
from specloom.torch import TorchNode

DATA = Port("B H W C", doc="Cubes.")
VALID = Port("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")


class Twice:
    inputs = {"data": DATA}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}
    locality = "pixel"
    array_library = "numpy"

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * np.float32(self.factor)}


class Gain(TorchNode):
    inputs = {"data": DATA, "valid": VALID}
    outputs = {"bright": Port("B H W C", doc="The cube times a gain for each band.")}
    locality = "pixel"
    trainable = ("gain",)
    example = {"start": 2.0}

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["C"],), self.start))

    def forward(self, data, valid=None):
        if valid is not None:
            data = data.masked_fill(~valid, math.nan)
        return {"bright": data * self.gain}


class Noise(Gain):
    def forward(self, data, valid=None):
        if self.training:
            data = data + torch.randn(data.shape, generator=self.generator)
        return super().forward(data, valid)


class Stretch(Gain):
    locality = "image"

    def forward(self, data, valid=None):
        high = data.nan_to_num(-math.inf).amax((1, 2, 3), keepdim=True)
        return super().forward(data / high, valid)


class Blur(TorchNode):
    inputs = {"scores": Port("B H W 1", doc="Scores.")}
    outputs = {"smooth": Port("B H W 1", doc="The largest score of 3 x 3 pixels.")}
    locality, halo = "halo", 1

    def forward(self, scores):
        flat = scores.nan_to_num(-math.inf).movedim(-1, 1)
        largest = torch.nn.functional.max_pool2d(flat, 3, 1, 1).movedim(1, -1)
        return {"smooth": largest.where(scores == scores, math.nan)}


class Mixer(TorchNode):
    inputs = {"data": Port("B H W num_channels", doc="Cubes.")}
    outputs = {"mixed": Port("B H W n_mixed", doc="Means of neighbouring bands.")}
    locality = "pixel"
    affine_input = "data"

    def __init__(self, num_channels: int | None = None, n_mixed: int = 3) -> None:
        super().__init__()
        self.num_channels, self.n_mixed = num_channels, n_mixed

    def build(self, sizes):
        start = torch.rand(self.num_channels, self.n_mixed, dtype=torch.float64)
        self.register_buffer("matrix", start)

    def forward(self, data):
        if isinstance(data, LazyAffine):
            data = data.data.double() * data.scale + data.offset
        return {"mixed": torch.stack([self._mix(image) for image in data.double()]).float()}

    def _mix(self, image):
        return (image.unsqueeze(-1) * self.matrix).sum(-2)


@pytest.mark.parametrize("cls", [Twice, Gain, Noise, Stretch, Blur, Mixer])
def test_good_nodes_pass_every_check(cls):
    checks = dict(checks_of(cls))
    assert len(checks) >= 10
    for check in checks.values():
        check()


class ChangesArgument(Twice):
    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor + 1


class TakesAnything(Twice):
    def __init__(self, factor: float = 2.0, **_others: float) -> None:
        super().__init__(factor)


class AllocatesEarly(Twice):
    def __init__(self, factor: float = 2.0) -> None:
        super().__init__(factor)
        self.table = np.zeros(3)


class Untyped(Twice):
    def __init__(self, factor=2.0):
        self.factor = factor


class WrongDefault(Twice):
    def __init__(self, factor: float = "two") -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * np.float32(2)}


class Silent(Twice):
    outputs = {"doubled": Port("B H W C")}


class UnknownAxis(Twice):
    outputs = {"doubled": Port("B H W no_such_parameter", doc="Twice the cube.")}


class PortIsMethod(Gain):
    outputs = {"bright": Port("B H W C", doc="The cube."), "extra_repr": Port("C", doc="Gains.")}

    def forward(self, data, valid=None):
        return {**super().forward(data, valid), "extra_repr": self.gain.detach()}


class PortIsParameter(Gain):
    inputs = {"start": DATA}

    def forward(self, start):
        return super().forward(start)


class SwallowsNames(Twice):
    def forward(self, data, **_others):
        return super().forward(data)


class OtherName(Twice):
    inputs = {"data": DATA, "mask": Port("B H W", dtype="bool", optional=True, doc="Mask.")}

    def forward(self, data, masks=None):
        return super().forward(data)


class NoneIsNoDefault(Gain):
    def forward(self, data, valid=True):
        return super().forward(data)


class HalfMeasures(Gain):
    def measure_start(self, stage):
        pass


class UnknownLocality(Twice):
    locality = "local"


class SwapsAxes(Twice):
    locality = "image"

    def forward(self, data):
        return super().forward(data.swapaxes(1, 2))


class WrongDtype(Gain):
    def forward(self, data, valid=None):
        return {"bright": super().forward(data, valid)["bright"].double()}


class WrongLibrary(Twice):
    def forward(self, data):
        return {"doubled": torch.from_numpy(data * 2)}


class MakesMore(Twice):
    def forward(self, data):
        return {**super().forward(data), "more": data}


WRONG = {
    ChangesArgument: {"init_only_stores"},
    TakesAnything: {"init_only_stores"},
    AllocatesEarly: {"init_only_stores"},
    Untyped: {"params_are_annotated"},
    WrongDefault: {"params_are_annotated"},
    Silent: {"ports_are_documented"},
    UnknownAxis: {"ports_are_documented"},
    PortIsMethod: {"ports_shadow_nothing"},
    PortIsParameter: {"ports_shadow_nothing"},
    SwallowsNames: {"forward_matches_ports"},
    OtherName: {"forward_matches_ports", "optional_inputs_work"},
    NoneIsNoDefault: {"forward_matches_ports"},
    HalfMeasures: {"protocols_are_whole"},
    UnknownLocality: {"locality_is_declared"},
    SwapsAxes: {"outputs_are_honest", "nan_is_contained"},
    WrongDtype: {"outputs_are_honest", "optional_inputs_work"},
    WrongLibrary: {"outputs_are_honest"},
    MakesMore: {"outputs_are_honest"},
}


@pytest.mark.parametrize(
    ("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_wrong_nodes_fail_exactly_their_checks(cls, caught):
    assert set(failures_of(cls)) == caught


def test_the_guide_s_example_of_folding_passes_every_check():
    guide = (Path(__file__).parents[1] / "plugins/README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    made = {"__name__": "guide"}
    exec("\n".join(blocks), made)
    expected = {"Gain": "forward_lazy_equals_forward", "Mean": "lazy_input_equals_values"}
    for name, check in expected.items():
        checks = checks_of(made[name])
        assert check in dict(checks)
        assert failures_of(made[name]) == {}
