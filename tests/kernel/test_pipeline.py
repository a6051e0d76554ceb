"""The Python builder, and that it makes the same graph as a run file."""

import copy
from types import ModuleType, SimpleNamespace

import pytest
import torch

from specloom import ConfigError, Pipeline, Plugins, Port, Ported, SpecloomError, impl, load
from specloom.execution.plan import Plan
from specloom.torch import TorchNode, TorchRuntime

CUBE = Port("B H W C")


class Data(TorchNode):
    inputs = {"cube": CUBE, "mask": Port("B H W", dtype="bool", optional=True)}
    outputs = {"cube": CUBE, "mask": Port("B H W 1", dtype="bool", optional=True)}
    entry = True

    def forward(self, cube, mask=None):
        return {"cube": cube, "mask": None if mask is None else mask[..., None]}


class SoftGain(TorchNode):
    inputs = {"data": Port("B H W num_channels")}
    outputs = {"gained": Port("B H W num_channels")}
    trainable = ("gain",)

    def __init__(self, num_channels: int | None = None, start: float = 2.0) -> None:
        super().__init__()
        self.num_channels, self.start = num_channels, start

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["num_channels"],), self.start))

    def forward(self, data):
        return {"gained": data * self.gain}


class RXSum(TorchNode):
    inputs = {"data": CUBE, "mask": Port("B H W 1", dtype="bool", optional=True)}
    outputs = {"scores": Port("B H W 1")}

    def forward(self, data, mask=None):
        return {"scores": data.sum(-1, keepdim=True)}


class Unoffered(RXSum):
    pass


class Scenes:
    outputs = {"cube": CUBE, "mask": Port("B H W", dtype="bool")}

    def sizes(self):
        return {"C": 4}

    def splits(self):
        return ["test"]

    def count(self, split):
        return 2

    def batches(self, split):
        for seed in range(2):
            made = torch.Generator().manual_seed(seed)
            yield {
                "cube": torch.randn(2, 3, 3, 4, generator=made),
                "mask": torch.zeros(2, 3, 3, dtype=torch.bool),
            }


def plugins():
    toy = ModuleType("toy")

    def register_nodes():
        return {name: f"{__name__}:{name}" for name in ("Data", "SoftGain", "RXSum")}

    def register_sources():
        return {"Scenes": f"{__name__}:Scenes"}

    toy.register_nodes, toy.register_sources = impl(register_nodes), impl(register_sources)
    return Plugins({"toy": toy})


def chain():
    pipeline = Pipeline("chain", plugins())
    data, gain, rx = Data(name="data"), SoftGain(), RXSum(name="rx")
    pipeline.connect((data.outputs.cube, gain.data), (gain.gained, rx.data))
    pipeline.outputs["scores"] = "rx.scores"
    return pipeline


def reported(call, *args, **kwargs):
    with pytest.raises(SpecloomError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


RUN = """\
specloom: 1
data: {type: toy.Scenes}
nodes:
  data: {type: toy.Data}
  soft_gain: {type: SoftGain}
  rx: {type: toy.RXSum}
connections:
  - [data.cube, soft_gain.data]
  - [soft_gain.gained, rx.data]
outputs: {scores: rx.scores}
"""


def test_yaml_and_python_make_the_same_graph_and_the_same_scores(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    yaml = load(tmp_path / "run.yaml", plugins=plugins(), device="cpu")
    ours = chain().graph(Scenes())
    assert ours.order == yaml.graph.order
    assert ours.connections.incoming == yaml.graph.connections.incoming
    assert ours.outputs == yaml.graph.outputs
    for name in ("data", "soft_gain", "rx"):
        assert ours.sizes(name) == yaml.graph.sizes(name) != {}
    plans = [Plan(one, "test", TorchRuntime("cpu"), ["rx.scores"]) for one in (ours, yaml.graph)]
    for batch in Scenes().batches("test"):
        mine, theirs = (plan(batch)["rx.scores"] for plan in plans)
        assert torch.equal(mine, theirs)
        assert mine.shape == (2, 3, 3, 1)


def test_serialize_is_a_run_file_without_data_and_phases():
    pipeline = chain()
    pipeline.graph(Scenes())
    assert pipeline.serialize() == {
        "nodes": {
            "data": {"type": "toy.Data"},
            "soft_gain": {"type": "toy.SoftGain", "config": {"num_channels": 4}},
            "rx": {"type": "toy.RXSum"},
        },
        "connections": [["data.cube", "soft_gain.data"], ["soft_gain.gained", "rx.data"]],
        "outputs": {"scores": "rx.scores"},
    }


def test_a_node_that_no_plugin_offers_cannot_be_named():
    pipeline, data = Pipeline(plugins=plugins()), Data()
    pipeline.connect((data.outputs.cube, Unoffered().data))
    assert reported(pipeline.serialize) == (
        "Unoffered is offered by no plugin, so a saved pipeline could not name it\n"
        "  fix: offer it in a plugin's register_nodes"
    )
    with pytest.raises(ConfigError):
        pipeline.serialize()


def test_names():
    pipeline = Pipeline()
    nodes = [RXSum(), RXSum(), RXSum(name="mine"), SoftGain(), RXSum()]
    names = [pipeline.add_node(node) for node in nodes]
    assert names == ["rx_sum", "rx_sum_2", "mine", "soft_gain", "rx_sum_3"]
    assert [node.name for node in nodes] == names
    assert pipeline.add_node(nodes[0], "other") == "rx_sum"
    assert pipeline.add_node(Data(name="x"), "y") == "y"
    assert reported(pipeline.add_node, Data(name="mine")) == (
        "there are two nodes named 'mine'\n  fix: rename one of them"
    )
    for name in ("my-node", "batch", "1", "a.b"):
        assert reported(pipeline.add_node, Data(), name) == (
            f"{name!r} is no name for a node\n"
            "  fix: use letters, digits and _, beginning with a letter, and not 'batch'"
        )


PATHS = ("../../x", "/tmp/x", "a/b", "a.b", "..", "", "x\n", "\u00e9", "C:x", 3)


@pytest.mark.parametrize("name", PATHS)
def test_outputs_whose_names_are_no_names(tmp_path, name):
    message = (
        f"{name!r} cannot be an output's name\n"
        "  fix: use letters, digits and _, beginning with a letter: files are named after it"
    )
    pipeline = chain()
    pipeline.graph(Scenes())
    pipeline.outputs[name] = "rx.scores"
    assert reported(pipeline.graph) == message
    assert reported(pipeline.serialize) == message
    assert reported(pipeline.save_to_file, tmp_path / "p.yaml") == message
    pipeline = chain()
    made = pipeline.graph(Scenes())
    made.outputs[name] = pipeline.outputs[name] = "rx.scores"  # behind the back of its checks
    assert reported(pipeline.save_to_file, tmp_path / "p.yaml") == message
    assert not list(tmp_path.iterdir())


def test_nodes_whose_names_are_no_names():
    pipeline = Pipeline()
    pipeline.nodes["../x"] = Data()
    assert (
        "'../x' cannot be a node's name\n"
        "  fix: use letters, digits and _, beginning with a letter; 'batch' is the data"
    ) in reported(pipeline.graph)


def test_ends_that_are_no_ports_or_on_the_wrong_side():
    pipeline, data, rx = Pipeline(), Data(), RXSum()
    assert reported(pipeline.connect, (rx.data, data.inputs.cube)) == (
        "RXSum.inputs.data is none of a node's outputs, which belong here\n"
        "  fix: write (source.outputs.x, target.inputs.y)"
    )
    assert reported(pipeline.connect, (data.outputs.cube, rx.scores)) == (
        "RXSum.outputs.scores is none of a node's inputs, which belong here\n"
        "  fix: write (source.outputs.x, target.inputs.y)"
    )
    assert reported(pipeline.connect, (3, rx.data)) == (
        '3 is no port\n  fix: write "node.port", or the port itself: node.port'
    )
    assert pipeline.nodes == {}


def test_a_name_on_both_sides_must_say_which():
    data = Data()
    assert reported(lambda: data.mask) == (
        "Data.mask is an input and an output\n  fix: write Data.inputs.mask or Data.outputs.mask"
    )
    assert (data.inputs.mask.side, data.outputs.mask.side) == ("inputs", "outputs")
    with pytest.raises(AttributeError, match="Data has no input 'cub': did you mean 'cube'"):
        _ = data.inputs.cub
    with pytest.raises(AttributeError, match="only a node's sides have ports as attributes"):
        _ = Data.inputs.cube
    assert copy.deepcopy(data.inputs).keys() == data.inputs.keys()


def test_freezing_by_name():
    pipeline = chain()
    gain = pipeline.nodes["soft_gain"]
    assert reported(pipeline.unfreeze_nodes_by_name, ["soft_gain"]) == (
        "node 'soft_gain' has nothing to train yet: its sizes are not known\n"
        "  fix: call pipeline.graph(source) before"
    )
    pipeline.graph(Scenes())
    pipeline.unfreeze_nodes_by_name(["soft_gain"])
    assert [one.requires_grad for one in gain.parameters()] == [True]
    pipeline.freeze_nodes_by_name(["soft_gain"])
    assert list(gain.parameters()) == []
    assert reported(pipeline.unfreeze_nodes_by_name, ["soft_gian"]) == (
        "there is no node 'soft_gian'\n  fix: did you mean 'soft_gain'?"
    )
    assert reported(pipeline.unfreeze_nodes_by_name, ["soft_gain", "rx"]) == (
        "node 'rx' has nothing to train\n  fix: leave 'rx' out"
    )
    assert list(gain.parameters()) == []
    assert reported(pipeline.unfreeze_nodes_by_name, "soft_gain") == (
        "the names of nodes are the text 'soft_gain'\n  fix: write a list: ['soft_gain']"
    )
    assert reported(pipeline.freeze_nodes_by_name, [gain]) == (
        f"{gain!r} is no name of a node\n  fix: pass its name: [node.name]"
    )


def test_changes_make_a_new_graph():
    pipeline = chain()
    first = pipeline.graph()
    assert pipeline.graph() is first
    pipeline.outputs["gained"] = "soft_gain.gained"
    assert pipeline.graph().outputs == {"scores": "rx.scores", "gained": "soft_gain.gained"}
    pipeline.connect((pipeline.nodes["data"].outputs.mask, pipeline.nodes["rx"].mask))
    assert pipeline.graph().connections.incoming["rx"]["mask"] == ["data.mask"]


def test_saving_and_loading(tmp_path):
    pipeline = chain()
    pipeline.graph(Scenes())
    pipeline.nodes["soft_gain"].gain += torch.arange(4)
    about = SimpleNamespace(name="", description="It adds.", tags=["a"], author=None, other=1)
    pipeline.save_to_file(tmp_path / "p.yaml", metadata=about)
    again = Pipeline.load(tmp_path / "p.yaml", plugins())
    assert (again.name, again.outputs) == ("chain", {"scores": "rx.scores"})
    assert again.serialize() == pipeline.serialize()
    assert torch.equal(again.nodes["soft_gain"].gain, pipeline.nodes["soft_gain"].gain)
    again.connect((again.nodes["data"].outputs.mask, again.nodes["rx"].mask))
    assert again.graph(Scenes()).connections.incoming["rx"]["mask"] == ["data.mask"]


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        ("RXGlobal", "rx_global"),
        ("IoULoss", "iou_loss"),
        ("ScoreToLogit", "score_to_logit"),
        ("TrainablePCA", "trainable_pca"),
        ("MinMaxNormalizer", "min_max_normalizer"),
    ],
)
def test_names_of_nodes_that_were_given_none(cls, name):
    pipeline = Pipeline()
    made = type(cls, (Ported,), {"inputs": {}, "outputs": {}})
    assert pipeline.add_node(made()) == name
    assert pipeline.add_node(made()) == f"{name}_2"
