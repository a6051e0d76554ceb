"""A default that changed: saved pipelines stay as they were, with a warning."""

from types import ModuleType

import pytest
import yaml

from specloom import Graph, Plugins, Port, SpecloomWarning, impl
from specloom.contract.ports import Connection
from specloom.execution import saved_pipeline
from specloom.testing import failures_of
from specloom.torch import TorchNode

CUBE = Port("B H W C", doc="Pixels.")


class Old(TorchNode):
    inputs = {"data": CUBE}
    outputs = {"scaled": CUBE}
    locality = "pixel"
    example = {}

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, data):
        return {"scaled": data * self.factor}


class New(Old):
    earlier_defaults = {"factor": 2.0, "offset": 0.0}

    def __init__(self, factor: float = 3.0, offset: float = 1.0) -> None:
        super().__init__(factor)
        self.offset = offset


class Misspelt(Old):
    earlier_defaults = {"factr": 2.0}


class Refused(Old):
    earlier_defaults = {"factor": "two"}


def plugins(cls):
    toy = ModuleType("toy")

    def register_nodes():
        return {"Scale": f"{__name__}:{cls.__name__}"}

    toy.register_nodes = impl(register_nodes)
    return Plugins({"toy": toy})


def save(path, node):
    links = [Connection("batch.cube", "scale.data")]
    graph = Graph({"scale": node}, links, batch={"cube": CUBE}, batch_sizes={"C": 4})
    saved_pipeline.save(path, graph, {"name": "p"}, plugins(type(node)))


def test_a_pipeline_that_an_earlier_version_saved_has_the_earlier_defaults(tmp_path):
    path = tmp_path / "pipeline.yaml"
    save(path, Old())
    with pytest.warns(SpecloomWarning) as caught:
        graph, _metadata = saved_pipeline.load(path, plugins(New))
    assert (graph.nodes["scale"].factor, graph.nodes["scale"].offset) == (2.0, 0.0)
    fix = "run the run file again for the present default"
    assert [str(one.message) for one in caught] == [
        f"toy.Scale was saved without factor: it is 2.0, as in that version; {fix}",
        f"toy.Scale was saved without offset: it is 0.0, as in that version; {fix}",
    ]
    assert {one.filename for one in caught} == {str(path)}


def test_what_it_stated_stays(tmp_path):
    path = tmp_path / "pipeline.yaml"
    save(path, Old(factor=5.0))
    with pytest.warns(SpecloomWarning, match="without offset"):
        graph, _metadata = saved_pipeline.load(path, plugins(New))
    assert graph.nodes["scale"].factor == 5.0


def test_the_present_version_states_them_always(tmp_path):
    path = tmp_path / "pipeline.yaml"
    save(path, New())
    config = yaml.safe_load(path.read_text())["nodes"]["scale"]["config"]
    assert config == {"factor": 3.0, "offset": 1.0}
    graph, _metadata = saved_pipeline.load(path, plugins(New))  # a warning would be an error
    assert (graph.nodes["scale"].factor, graph.nodes["scale"].offset) == (3.0, 1.0)


def test_the_kit_checks_earlier_defaults():
    name = "earlier_defaults_are_sound"
    assert failures_of(New) == {}
    assert "has 'factr', which is no parameter" in str(failures_of(Misspelt)[name])
    assert "has factor='two', which is not accepted" in str(failures_of(Refused)[name])
