"""Plans that are given values, what a stage shows at its end, and 'valid' that nobody reads."""

import numpy as np
import pytest
import torch

from plan_toys import CUBE, Data, Twice, chain, cubes, graph, plan
from specloom import Graph, GraphError, Plugins, Port, Ported, Run, impl
from specloom.contract.ports import Connection
from specloom.runfile.yaml import parse


def test_what_only_given_values_need_does_not_run():
    made = chain()
    doubled = torch.full((1, 3, 3, 2), 10.0)
    run = plan(made, "sum.total", provided=["twice.doubled"])
    for _ in range(2):
        assert run({**cubes(), "twice.doubled": doubled})["sum.total"].eq(11).all()
    assert made.nodes["twice"].calls == 0
    both = plan(made, "sum.total", provided=["twice.doubled", "data.cube"])
    values = both({"twice.doubled": doubled, "data.cube": cubes(2.0)["cube"]})
    assert values["sum.total"].eq(12).all()
    assert made.nodes["data"].calls == 2


def test_a_given_value_that_is_none():
    with pytest.raises(GraphError, match="twice has no output 'doubles'"):
        plan(chain(), "sum.total", provided=["twice.doubles"])


def test_given_values_are_held_to_the_ports_that_read_them():
    with pytest.raises(GraphError, match="wants float32, got float64"):
        plan(chain(), "sum.total", provided=["twice.doubled"])(
            {**cubes(), "twice.doubled": torch.zeros(1, 3, 3, 2, dtype=torch.float64)}
        )


class Painter(Ported):
    inputs = {"cube": CUBE}
    outputs = {
        "artifacts": Port(dtype="record", per_stage=True),
        "metrics": Port(dtype="scalars", per_stage=True),
    }

    def forward(self, cube):
        return {}

    def measure_start(self, stage):
        pass

    def measure_end(self):
        return {"artifacts": {"image": np.zeros((2, 2, 3), np.uint8)}, "metrics": {"n": 3}}


class Watcher:
    def __init__(self):
        self.seen = {}

    @impl
    def artifacts(self, run, step, values):
        self.seen["artifacts"] = (step, values)

    @impl
    def recorded(self, run, step, values):
        self.seen["recorded"] = (step, values)


class Scenes:
    outputs = {"cube": CUBE}

    def sizes(self):
        return {"C": 2}

    def splits(self):
        return ("test",)

    def count(self, split):
        return 1

    def batches(self, split):
        yield cubes()


def test_pictures_and_numbers_of_a_stage_reach_observers():
    watcher, plugins = Watcher(), Plugins({})
    plugins.add("watcher", watcher)
    made = graph({"painter": Painter()}, "batch.cube > painter.cube")
    run = Run(made, Scenes(), plugins=plugins, device="cpu")
    compiled = run.plan("test")
    compiled.start()
    for batch in run.batches("test"):
        compiled(batch)
    assert run.measured("test", compiled.finish(), step=4) == {"painter/n": 3}
    step, pictures = watcher.seen["artifacts"]
    assert step == 4
    assert pictures["test/painter/image"].shape == (2, 2, 3)
    assert watcher.seen["recorded"] == (4, {"test/painter/n": 3})


NOTE = "no-data pixels are not excluded"


class Labelled(Data):
    inputs = {"cube": CUBE}
    outputs = {"cube": CUBE, "valid": Port("B H W 1", dtype="bool", unused_note=NOTE)}


class Picky(Twice):
    inputs = {"data": CUBE, "valid": Port("B H W 1", dtype="bool", optional=True)}


def test_an_output_that_must_be_connected_is_noted():
    nodes = {"data": Labelled(), "twice": Picky()}
    links = [Connection("data.cube", "twice.data")]
    document = parse("nodes:\n  data: {}\n  twice: {}\n", "run.yaml")
    made = Graph(nodes, links, batch=Labelled.inputs, document=document)
    assert made.notes() == [
        "run.yaml:2: data.valid is not connected: no-data pixels are not excluded\n"
        "  fix: connect it to twice.valid"
    ]
    links.append(Connection("data.valid", "twice.valid"))
    assert Graph(nodes, links, batch=Labelled.inputs).notes() == []


def test_the_note_on_an_output_that_no_node_of_the_graph_could_take():
    made = Graph({"data": Labelled()}, [], batch=Labelled.inputs)
    assert made.notes() == [
        "data.valid is not connected: no-data pixels are not excluded\n"
        "  fix: connect data.valid to the inputs that need it"
    ]
