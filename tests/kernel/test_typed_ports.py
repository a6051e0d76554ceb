"""Ports as descriptors, node classes from annotations, and connections checked when made."""

import copy
import inspect
import pickle
from typing import Any, ClassVar, Literal

import pytest
import torch

from specloom import (
    ConfigError,
    Input,
    InputRef,
    Internal,
    Output,
    OutputRef,
    Pipeline,
    Port,
    Ported,
    SpecloomError,
    SpecloomWarning,
    node,
    param,
)
from specloom.runfile.parameters import adapter, parameters, values
from specloom.testing.construction import ports_are_descriptors
from specloom.torch import TorchNode, buffer

SHARED = Port("B H W 1", doc="Scores.")


@node
class Data(TorchNode):
    """An entry node, with one name on both sides."""

    cube_in = Input("B H W C", name="cube", doc="Cubes.")
    cube = Output("B H W C", doc="Cubes.")
    valid = Output("B H W 1", "bool", doc="Pixels that count.")
    entry = True

    def forward(self, cube):
        return {"cube": cube, "valid": torch.ones_like(cube[..., :1], dtype=torch.bool)}


@node
class Gain(TorchNode):
    """Multiplies each band."""

    data = Input("B H W num_channels", doc="Cubes.")
    valid = Input("B H W 1", "bool", optional=True, doc="Pixels that count.")
    gained = Output("B H W num_channels", doc="Cubes.")
    num_channels: int | None = None
    start: float = 2.0
    gain = buffer()
    _calls = Internal[int](0)
    kinds: ClassVar[tuple[str, ...]] = ("linear",)
    locality = "pixel"
    renamed: ClassVar = {"cube": "data", "begin": "start"}

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["num_channels"],), self.start))

    def forward(self, data, valid=None):
        self._calls += 1
        return {"gained": data * self.gain}


@node
class Limited(Gain):
    """A gain with a limit."""

    most: float = param(default=10.0, kw_only=True)
    clipped = Output(SHARED)

    def __post_init__(self):
        self.checked = self.most > 0

    def forward(self, data, valid=None):
        gained = super().forward(data)["gained"].clamp(max=self.most)
        return {"gained": gained, "clipped": gained.sum(-1, keepdim=True)}


@node
class Sum(TorchNode):
    """Adds up bands, weighted."""

    data = Input("B H W C", doc="Cubes.")
    weights = Input("B H W C", doc="Weights.")
    scores = Output(SHARED)

    def forward(self, data, weights):
        return {"scores": (data * weights).sum(-1, keepdim=True)}


@node
class Decider(TorchNode):
    """A threshold."""

    scores = Input(SHARED)
    decisions = Output("B H W 1", "bool", doc="Anomalies.")

    def forward(self, scores):
        return {"decisions": scores > 0}


def refused(call, *args, **kwargs):
    with pytest.raises(SpecloomError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_ports_stand_in_the_mappings_inherited_ones_first():
    assert list(Limited.inputs) == ["data", "valid"]
    assert list(Limited.outputs) == ["gained", "clipped"]
    assert Limited.outputs["clipped"] is SHARED
    assert type(Gain.inputs["data"]) is Port
    assert Gain.inputs["valid"] == Port("B H W 1", "bool", optional=True, doc="Pixels that count.")


def test_a_port_of_a_node_is_a_typed_end_and_of_its_class_the_declaration():
    gain = Gain()
    assert isinstance(gain.data, InputRef)
    assert isinstance(gain.gained, OutputRef)
    assert gain.data == gain.inputs.data != gain.outputs.gained
    assert len({gain.data, gain.inputs.data, Gain().data}) == 2
    assert isinstance(Gain.data, Input)
    assert repr(Gain(name="twice").gained) == "<output twice.gained (B H W num_channels)>"
    assert {"data", "valid"} <= set(dir(gain.inputs))


def test_one_name_on_both_sides_is_the_output():
    data = Data()
    assert data.cube == data.outputs.cube
    assert data.cube_in == data.inputs.cube != data.cube


def test_a_port_cannot_be_set():
    with pytest.raises(AttributeError, match=r"^Gain\.gained is a port, and cannot be set: store"):
        Gain().gained = 3


def test_a_misspelt_port_of_a_side_is_an_error_with_the_nearest():
    with pytest.raises(AttributeError, match=r"Gain has no output 'gianed': did you mean 'gained'"):
        Gain().outputs.gianed  # noqa: B018  # the attribute is what is tested


def test_a_port_must_not_hide_a_member_of_a_base_class():
    with pytest.raises(TypeError) as caught:
        type("Bad", (TorchNode,), {"half": Output("B")})
    assert str(caught.value) == (
        "the port 'half' of Bad hides Module.half: write half_ = Output(…, name=\"half\")"
    )
    good = type("Good", (TorchNode,), {"half_": Output("B", name="half")})
    assert list(good.outputs) == ["half"]
    assert good.half is torch.nn.Module.half
    assert good().outputs.half.port == "half"


def test_dictionaries_go_on_working_also_with_descriptors():
    class Old(Ported):
        inputs: ClassVar = {"data": Port("B")}
        outputs: ClassVar = {"sum": Port("B"), "data": Port("B")}

    class Both(Old):
        more = Output("B")

    class Again(Both):
        outputs: ClassVar = {"more": Port("B 2")}

    both = Both()
    assert (list(both.inputs), list(both.outputs)) == (["data"], ["sum", "data", "more"])
    assert isinstance(both.sum, OutputRef)
    assert isinstance(both.more, OutputRef)
    assert "Both.data is an input and an output" in refused(lambda: both.data)
    assert Again().more.node.outputs["more"].axes == "B 2"


def test_parameters_come_from_annotations_those_of_the_base_class_first():
    signature = inspect.signature(Limited)
    assert list(signature.parameters) == ["num_channels", "start", "most", "name"]
    assert signature.parameters["most"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(parameters(Limited)) == ["num_channels", "start", "most"]
    limited = Limited(3, most=4.0, name="one")
    assert (limited.num_channels, limited.start, limited.most) == (3, 2.0, 4.0)
    assert (limited.name, limited.checked) == ("one", True)
    assert values(limited) == {"num_channels": 3, "most": 4.0}
    assert adapter(Limited, "start").validate_python(1) == 1.0


def test_the_old_name_of_an_argument_warns():
    with pytest.warns(SpecloomWarning, match="'begin' is now called 'start'"):
        assert Gain(begin=1.0).start == 1.0


def test_wrong_arguments_are_refused_with_the_name_of_the_class():
    with pytest.raises(TypeError, match=r"^Gain: got an unexpected keyword") as caught:
        Gain(strat=1.0)
    assert str(caught.value).endswith("argument 'strat'; did you mean 'start'?")
    with pytest.raises(TypeError, match=r"^Limited: too many positional arguments$"):
        Limited(1, 2.0, 3.0)
    with pytest.raises(TypeError) as caught:
        Limited(num_channel=1)
    assert str(caught.value) == (
        "Limited: got an unexpected keyword argument 'num_channel'; did you mean 'num_channels'?"
    )


@node
class Typed(TorchNode):
    """Parameters of several types."""

    data = Input("B H W C", doc="Cubes.")
    method: Literal["uniform", "variance"] = "uniform"
    count: int = 3
    shares: tuple[float, float] | None = None
    spectra: Any = None

    def forward(self, data):
        return {}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"method": "varianc"},
            "Typed: method should be 'uniform' or 'variance', got \"varianc\"\n"
            "  fix: change method",
        ),
        ({"count": "3"}, 'Typed: count should be a valid integer, got "3"\n  fix: change count'),
        ({"shares": (0.1,)}, "Typed: shares[1] is missing, got [0.1]\n  fix: change shares"),
    ],
)
def test_a_value_of_another_type_is_refused_where_the_node_is_made(parameters, message):
    with pytest.raises(ConfigError) as caught:
        Typed(**parameters)
    assert str(caught.value) == message


def test_values_that_no_run_file_could_hold_are_taken():
    made = Typed("variance", shares=[0, 1], spectra=torch.ones(3))
    assert (made.method, made.shares) == ("variance", [0, 1])
    assert torch.equal(made.spectra, torch.ones(3))


def test_a_node_may_convert_its_arguments_and_name_types_of_checkers_alone():
    class Converting(TorchNode):
        def __init__(self, mode, width: str = "3", more: int = 4):
            super().__init__()
            self.mode = mode
            self.width = int(width)
            self.more = more

    Converting.__init__.__annotations__["mode"] = "OnlyForTypeCheckers"
    made = Converting("a", "5")
    assert (made.mode, made.width, made.more) == ("a", 5, 4)


def test_a_value_that_is_passed_by_position_is_checked_and_the_node_is_named():
    what = r"^node 'one' \(Typed\): count should be a valid integer, got \"3\""
    with pytest.raises(ConfigError, match=what):
        Typed("uniform", "3", name="one")


@pytest.mark.parametrize("default", [[1.0], {"low": 1.0}, {1.0}], ids=["list", "dict", "set"])
def test_a_default_that_all_nodes_would_share_is_refused(default):
    kind = type(default).__name__
    what = rf"^Shared\.limits has a {kind} as its default, which all nodes would share: use a tuple"
    with pytest.raises(TypeError, match=what):
        node(type("Shared", (), {"__annotations__": {"limits": "Any"}, "limits": default}))


def test_buffers_and_internals_are_no_parameters_and_leave_the_class():
    assert not hasattr(Gain, "gain")
    assert Gain._calls == 0
    gain = Gain(2)
    assert dict(gain.named_buffers()).keys() == {"gain"}
    gain.forward(data=torch.ones(1, 1, 1, 2))
    assert (gain._calls, Gain._calls) == (1, 0)


def test_nodes_can_be_copied_and_pickled():
    gain = Gain(2, 3.0, name="three")
    for twin in (copy.deepcopy(gain), pickle.loads(pickle.dumps(gain))):
        assert (twin.start, twin.name, twin.gain.tolist()) == (3.0, "three", [3.0, 3.0])


def test_an_annotated_tensor_and_an_own_init_are_refused():
    with pytest.raises(TypeError, match=r"write mean = buffer\(\), without an annotation"):
        node(type("Bad", (TorchNode,), {"__annotations__": {"mean": "Tensor"}}))
    with pytest.raises(TypeError, match="has an __init__ of its own, which @node would replace"):
        node(type("Bad", (TorchNode,), {"__init__": lambda self: None}))


def test_a_class_with_its_own_init_can_still_be_derived_from_a_node_class():
    class Own(Gain):
        def __init__(self, factor: float, *, name: str = "") -> None:
            super().__init__(start=factor / 2)
            self.factor = factor

    own = Own(3.0, name="own")
    assert (own.start, own.factor, own.name) == (1.5, 3.0, "own")
    assert list(parameters(Own)) == ["factor"]


def test_add_gives_the_node_back_under_its_name():
    pipeline = Pipeline()
    gain = pipeline.add("twice", Gain())
    assert pipeline.nodes == {"twice": gain}
    assert gain.name == "twice"
    assert pipeline.add("twice", gain) is gain
    assert refused(pipeline.add, "thrice", gain) == (
        "Gain is in the pipeline already, as 'twice'\n  fix: use 'twice', or make a second node"
    )
    assert "two nodes named 'twice'" in refused(pipeline.add, "twice", Gain())


def built():
    pipeline = Pipeline()
    pipeline.add("data", Data())
    gain = pipeline.add("gain", Gain())
    sum_ = pipeline.add("sum", Sum())
    return pipeline, gain, sum_


def written(pipeline):
    return [(link.source, link.target) for link in pipeline.connections]


def test_strings_and_ports_mix_and_one_output_feeds_many_inputs():
    pipeline, gain, sum_ = built()
    pipeline.connect("data.cube", gain.data, "sum.weights")
    pipeline.connect((gain.gained, sum_.data), ("data.valid", "gain.valid"))
    assert written(pipeline) == [
        ("data.cube", "gain.data"),
        ("data.cube", "sum.weights"),
        ("gain.gained", "sum.data"),
        ("data.valid", "gain.valid"),
    ]
    assert pipeline.graph().order == ["data", "gain", "sum"]


def test_the_batch_may_stand_on_the_left():
    pipeline, _, _ = built()
    pipeline.connect("batch.other", "sum.weights")
    assert written(pipeline) == [("batch.other", "sum.weights")]
    assert refused(pipeline.connect, "data.cube", "batch.other").startswith(
        "there is no node 'batch'"
    )


def test_misspelt_ends_are_errors_when_they_are_connected():
    pipeline, gain, sum_ = built()
    assert refused(pipeline.connect, "gian.gained", "sum.data") == (
        "there is no node 'gian'\n  fix: did you mean 'gain'?"
    )
    assert refused(pipeline.connect, "gain.gianed", sum_.data) == (
        "gain has no output 'gianed'\n  fix: did you mean 'gained'?"
    )
    assert refused(pipeline.connect, "gain.data", "sum.data") == (
        "gain has no output 'data'\n"
        "  fix: gain.data is an input: a connection goes from an output to an input"
    )
    both = refused(pipeline.connect, ("gain.gianed", "sum.data"), (gain.gained, "sum.dta"))
    assert "gain has no output 'gianed'" in both
    assert "sum has no input 'dta'\n  fix: did you mean 'data'?" in both
    assert refused(pipeline.connect, "gain", "sum.data") == (
        "'gain' is no port\n  fix: write \"node.port\", or the port itself: node.port"
    )
    assert refused(pipeline.connect, "gain.gained") == (
        "connect takes an output and its inputs, or pairs of both\n"
        "  fix: write connect(output, input, …) or connect((output, input), …)"
    )
    assert written(pipeline) == []


def test_a_refused_call_leaves_the_pipeline_as_it_was():
    pipeline, gain, _ = built()
    other = Decider()
    refused(pipeline.connect, ("gain.gained", other.scores), (gain.gained, "sum.nothing"))
    assert written(pipeline) == []
    assert "decider" not in pipeline.nodes


def test_old_names_of_ports_work_in_strings_with_a_warning():
    pipeline, _, _ = built()
    with pytest.warns(SpecloomWarning, match="gain: 'cube' is now called 'data': change it"):
        pipeline.connect("data.cube", "gain.cube")
    assert written(pipeline) == [("data.cube", "gain.data")]


def test_a_chain_takes_the_only_required_input_and_the_first_output():
    pipeline, gain, sum_ = built()
    decider = Decider(name="decider")
    pipeline.chain("batch.cube", "data", gain, sum_.data, decider)
    pipeline.chain("data.cube", sum_.weights)
    assert written(pipeline) == [
        ("batch.cube", "data.cube"),
        ("data.cube", "gain.data"),
        ("gain.gained", "sum.data"),
        ("sum.scores", "decider.scores"),
        ("data.cube", "sum.weights"),
    ]


def test_a_chain_refuses_what_it_could_read_in_two_ways():
    pipeline, gain, sum_ = built()
    assert refused(pipeline.chain, gain, sum_) == (
        "sum has 2 inputs that a chain could mean\n  fix: write one of: sum.data, sum.weights"
    )
    assert refused(pipeline.chain, gain, "smu") == (
        "there is no node 'smu'\n  fix: did you mean 'sum'?"
    )
    assert refused(pipeline.chain, "gain.gianed", sum_.data) == (
        "gain has no output 'gianed'\n  fix: did you mean 'gained'?"
    )
    assert written(pipeline) == []


def test_outputs_are_checked_when_they_are_set():
    pipeline, gain, _ = built()
    pipeline.outputs["brighter"] = gain.gained
    pipeline.outputs |= {"cube": "data.cube"}
    assert pipeline.outputs == {"brighter": "gain.gained", "cube": "data.cube"}
    assert refused(pipeline.outputs.__setitem__, "scores", "sum.scoers") == (
        "sum has no output 'scoers'\n  fix: did you mean 'scores'?"
    )
    assert refused(setattr, pipeline, "outputs", {"scores": "smu.scores"}) == (
        "there is no node 'smu'\n  fix: did you mean 'sum'?"
    )
    assert pipeline.outputs == {"brighter": "gain.gained", "cube": "data.cube"}


def test_the_kit_warns_of_ports_in_dictionaries():
    old = type("Old", (Ported,), {"inputs": {"data": SHARED}})
    with pytest.warns(SpecloomWarning, match=r"Old declares ports in dictionaries: data: write a"):
        ports_are_descriptors(old)
    ports_are_descriptors(Limited)
