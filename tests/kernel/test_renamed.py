"""Old names of nodes, ports and parameters go on working, with a warning at their place."""

from types import ModuleType

import pytest
import torch

from specloom import (
    ConfigError,
    PluginError,
    Plugins,
    Port,
    Problems,
    SpecloomError,
    SpecloomWarning,
    impl,
    load,
)
from specloom.execution import saved_pipeline
from specloom.torch import TorchNode

CUBE = Port("B H W C")
RUN = """\
specloom: 1
data: {type: toy.Cubes, config: {many: 2}}
nodes:
  gain:
    type: toy.Amplifier
    config:
      start: 3.0
connections:
  - [batch.image, gain.raw]
outputs:
  out: gain.amplified
"""


class OldGain(TorchNode):
    """The node as it was in the version before."""

    inputs, outputs = {"raw": CUBE}, {"amplified": CUBE}

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["C"],), self.start))

    def forward(self, raw):
        return {"amplified": raw * self.gain}


class Gain(TorchNode):
    inputs, outputs = {"data": CUBE}, {"gained": CUBE}
    renamed = {"raw": "data", "amplified": "gained", "start": "factor"}

    def __init__(self, factor: float = 1.0, more: int = 0) -> None:
        super().__init__()
        self.factor, self.more = factor, more

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["C"],), self.factor))

    def forward(self, data):
        return {"gained": data * self.gain}


class Cubes:
    outputs = {"cube": CUBE}
    renamed = {"image": "cube", "many": "scenes"}

    def __init__(self, scenes: int) -> None:
        self.scenes = scenes

    def sizes(self):
        return {"C": 4}

    def splits(self):
        return ["test"]

    def count(self, split):
        return self.scenes

    def batches(self, split):
        yield from ({"cube": torch.ones(1, 2, 2, 4)} for _ in range(self.scenes))


def plugins(**nodes):
    toy = ModuleType("toy")
    offered = nodes or {"Gain": f"{__name__}:Gain", "Amplifier": "Gain", "Booster": "Amplifier"}
    toy.register_nodes = impl(lambda: offered)
    toy.register_sources = impl(lambda: {"Cubes": f"{__name__}:Cubes"})
    return Plugins({"toy": toy})


def warnings_of(work):
    """What ``work`` warns of, each with its place, and what it gives."""
    with pytest.warns(SpecloomWarning) as caught:
        made = work()
    return [f"{one.filename}:{one.lineno}: {one.message}" for one in caught], made


def test_a_run_file_with_old_names_runs_and_each_is_told_at_its_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    reported, run = warnings_of(lambda: load(file, plugins=plugins(), device="cpu"))
    assert reported == [
        f"{file}:2: toy.Cubes: 'many' is now called 'scenes': change it",
        f"{file}:5: toy.Amplifier is now called toy.Gain: change it",
        f"{file}:7: toy.Gain: 'start' is now called 'factor': change it",
        f"{file}:11: gain: 'amplified' is now called 'gained': change it",
        f"{file}:9: batch: 'image' is now called 'cube': change it",
        f"{file}:9: gain: 'raw' is now called 'data': change it",
    ]
    made = run.plan("test", ["gain.gained"])({"cube": torch.ones(1, 2, 2, 4)})
    assert made["gain.gained"].unique().tolist() == [3.0]
    assert run.graph.types == {"gain": "toy.Gain"}
    assert run.graph.outputs == {"out": "gain.gained"}
    assert run.source.scenes == 2


def test_an_override_may_have_an_old_name_too(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN.replace("      start: 3.0\n", "      more: 1\n"))
    change = ["nodes.gain.config.start=2.0"]
    reported, run = warnings_of(lambda: load(file, change, plugins=plugins(), device="cpu"))
    said = "--set nodes.gain.config.start=2.0: toy.Gain: 'start' is now called 'factor': change it"
    assert any(one.endswith(said) for one in reported)
    assert run.graph.nodes["gain"].factor == 2.0


@pytest.mark.filterwarnings("ignore::specloom.SpecloomWarning")
def test_an_old_name_beside_the_new_one_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN.replace("start: 3.0", "start: 3.0\n      factor: 2.0"))
    with pytest.raises(ConfigError) as caught:
        load(file, plugins=plugins())
    said = "toy.Gain has no parameter 'start'\n  fix: use one of: factor, more"
    assert str(caught.value) == f"{file}:7: {said}"
    with pytest.raises(TypeError, match="start"):
        Gain(start=1.0, factor=2.0)


@pytest.mark.filterwarnings("ignore::specloom.SpecloomWarning")
def test_a_wrong_value_under_an_old_name_is_told_at_its_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN.replace("start: 3.0", "start: fast").replace("many: 2", ""))
    with pytest.raises(Problems) as caught:
        load(file, plugins=plugins())
    assert [error.where for error in caught.value.errors] == [f"{file}:2", f"{file}:7"]


def test_a_saved_pipeline_with_old_names_loads(tmp_path):
    old = plugins(Amplifier=f"{__name__}:OldGain")
    (file := tmp_path / "run.yaml").write_text(
        RUN.replace("many", "scenes").replace("image", "cube")
    )
    run = load(file, plugins=old, device="cpu")
    path = tmp_path / "pipeline.yaml"
    saved_pipeline.save(path, run.graph, {"name": "old"}, old)
    reported, (graph, _) = warnings_of(lambda: saved_pipeline.load(path, plugins()))
    assert [one.partition(": ")[2] for one in reported] == [
        "toy.Amplifier is now called toy.Gain: change it",
        "toy.Gain: 'start' is now called 'factor': change it",
        "gain: 'amplified' is now called 'gained': change it",
        "gain: 'raw' is now called 'data': change it",
    ]
    assert graph.nodes["gain"].gain.tolist() == [3.0] * 4


def test_python_may_use_old_names_too():
    reported, node = warnings_of(lambda: Gain(start=2.0))
    assert reported[0].startswith(__file__)
    assert reported[0].endswith("Gain: 'start' is now called 'factor': change it")
    assert node.factor == 2.0
    reported, ends = warnings_of(lambda: (node.raw, node.outputs.amplified))
    assert ends == (node.data, node.gained)
    assert [one.partition(": ")[2] for one in reported] == [
        "Gain: 'raw' is now called 'data': change it",
        "Gain: 'amplified' is now called 'gained': change it",
    ]
    assert all(one.startswith(__file__) for one in reported)


def test_an_old_name_of_an_old_name_and_a_bare_one():
    known = plugins()
    reported, found = warnings_of(lambda: known.find("Booster", ("nodes",), "run.yaml:5"))
    assert found == ("toy.Gain", Gain)
    assert reported == [
        "run.yaml:5: toy.Booster is now called toy.Amplifier: change it",
        "run.yaml:5: toy.Amplifier is now called toy.Gain: change it",
    ]
    assert known.reference(Gain) == "toy.Gain"


@pytest.mark.filterwarnings("ignore::specloom.SpecloomWarning")
def test_an_old_name_that_leads_nowhere_is_told():
    with pytest.raises(PluginError, match=r"no plugin offers 'toy\.Gone' as a node"):
        plugins(Old="Gone").find("toy.Old", ("nodes",), "run.yaml:5")


def test_a_name_that_was_never_there_is_as_wrong_as_ever(tmp_path):
    file = tmp_path / "run.yaml"
    text = RUN.replace("toy.Amplifier", "toy.Gain").replace("start", "factor")
    text = text.replace("many", "scenes").replace("batch.image, gain.raw", "batch.cube, gain.rawer")
    file.write_text(text.replace("gain.amplified", "gain.gained"))
    with pytest.raises(SpecloomError, match="gain has no input 'rawer'"):
        load(file, plugins=plugins())
