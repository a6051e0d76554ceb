"""Inputs that belong to others: the graph connects them, and says so."""

from types import ModuleType

import pytest
import torch
import yaml

import specloom
from specloom import Pipeline, Plugins, Port, impl
from specloom.execution import saved_pipeline
from specloom.torch import TorchNode

CUBE = Port("B H W C", doc="Pixels.")
WEIGHTS = Port("C", doc="Weights.")


class Data:
    outputs = {"cube": CUBE}

    def sizes(self):
        return {"C": 2}

    def splits(self):
        return ("train",)

    def count(self, split):
        return 1

    def batches(self, split):
        yield {"cube": torch.ones(1, 3, 4, 2).numpy()}


class Weigh(TorchNode):
    inputs = {"data": CUBE}
    outputs = {"selected": CUBE, "applied": WEIGHTS}

    def forward(self, data):
        weights = torch.tensor([2.0, 3.0])
        return {"selected": data * weights, "applied": weights}


class Copy(TorchNode):
    inputs = {"data": CUBE}
    outputs = {"selected": CUBE}

    def forward(self, data):
        return {"selected": data}


class OtherKind(Copy):
    outputs = {"selected": CUBE, "applied": Port("B H W 1", dtype="bool", doc="Pixels.")}


class Undo(TorchNode):
    inputs = {
        "data": CUBE,
        "weights": Port(
            "C", optional=True, doc="Weights.", companion_of="data", companion_output="applied"
        ),
    }
    outputs = {"plain": CUBE}

    def forward(self, data, weights=None):
        return {"plain": data if weights is None else data / weights}


def plugins():
    toy = ModuleType("toy")

    def register_nodes():
        names = ("Weigh", "Copy", "OtherKind", "Undo")
        return {name: f"{__name__}:{name}" for name in names}

    def register_sources():
        return {"Data": f"{__name__}:Data"}

    toy.register_nodes = impl(register_nodes)
    toy.register_sources = impl(register_sources)
    return Plugins({"toy": toy})


RUN = """\
specloom: 1
data: {type: toy.Data}
nodes:
  first: {type: toy.Weigh}
  second: {type: toy.Undo}
connections:
  - [batch.cube, first.data]
  - [first.selected, second.data]
outputs: {plain: second.plain}
"""
NOTE = (
    ":8: added first.applied → second.weights: the values belong together\n"
    "  fix: write - [first.applied, second.weights], or companions: off for a graph without it"
)


def loaded(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return specloom.load(path, plugins=plugins(), device="cpu")


def pairs(graph):
    return [(connection.source, connection.target) for connection in graph.connections]


def test_an_open_companion_is_connected_and_reported(tmp_path):
    run = loaded(tmp_path, RUN)
    assert ("first.applied", "second.weights") in pairs(run.graph)
    assert run.graph.notes() == [f"{tmp_path / 'run.yaml'}{NOTE}"]


@pytest.mark.parametrize(
    "text",
    [
        RUN + "companions: off\n",
        RUN + "companions: false\n",
        RUN.replace("toy.Weigh", "toy.Copy"),
        RUN.replace("toy.Weigh", "toy.OtherKind"),
    ],
    ids=["off", "false", "no such output", "one that does not fit"],
)
def test_otherwise_nothing_is_added(tmp_path, text):
    run = loaded(tmp_path, text)
    assert len(run.graph.connections) == 2
    assert run.graph.notes() == []


def test_a_written_connection_is_nothing_to_report(tmp_path):
    text = RUN.replace("outputs:", "  - [first.applied, second.weights]\noutputs:")
    run = loaded(tmp_path, text)
    assert len(run.graph.connections) == 3
    assert run.graph.notes() == []


def test_it_is_saved_and_a_saved_pipeline_gets_no_other_one(tmp_path):
    path = tmp_path / "pipeline.yaml"
    run = loaded(tmp_path, RUN)
    saved_pipeline.save(path, run.graph, {"name": "p"}, plugins())
    assert ["first.applied", "second.weights"] in yaml.safe_load(path.read_text())["connections"]
    run = loaded(tmp_path, RUN + "companions: off\n")
    saved_pipeline.save(path, run.graph, {"name": "p"}, plugins())
    graph, _metadata = saved_pipeline.load(path, plugins())
    assert len(graph.connections) == 2
    assert len(Pipeline.load(path, plugins()).graph(Data()).connections) == 2


def test_python_too():
    for companions, count in ((True, 3), (False, 2)):
        pipeline = Pipeline(companions=companions)
        first = pipeline.add("first", Weigh())
        second = pipeline.add("second", Undo())
        pipeline.connect(("batch.cube", first.data), (first.selected, second.data))
        assert len(pipeline.graph(Data()).connections) == count


def test_another_value_is_refused(tmp_path):
    with pytest.raises(specloom.ConfigError) as caught:
        loaded(tmp_path, RUN + "companions: sometimes\n")
    assert str(caught.value) == (
        f"{tmp_path / 'run.yaml'}:10: companions is \"sometimes\"\n"
        "  fix: write companions: off, or remove it"
    )
