"""Values that are known when a stage ends, and the nodes that read them."""

import pytest
import torch

from plan_toys import CUBE, Data, cubes, graph, plan
from specloom import Graph, NodeError, Port, Ported
from specloom.contract.ports import Connection


class Mean(Ported):
    inputs = {"data": CUBE}
    outputs = {"mean": Port(dtype="scalars", per_stage=True), "now": Port("")}

    def measure_start(self, stage):
        self.stage, self.values = stage, []

    def forward(self, data):
        self.values.append(float(data.mean()))
        return {"now": data.mean()}

    def measure_end(self):
        if not self.values:
            raise ZeroDivisionError("no batch")
        return {"mean": {"mean": sum(self.values) / len(self.values)}}


class Keep(Ported):
    inputs = {"metrics": Port(dtype="scalars", per_stage=True, many=True)}
    outputs = {"kept": Port(dtype="object")}

    def forward(self, metrics):
        return {"kept": metrics}


def measured():
    nodes = {"a": Mean(), "b": Mean(), "keep": Keep()}
    links = ["batch.cube > a.data", "batch.cube > b.data"]
    return graph(nodes, *links, "a.mean > keep.metrics", "b.mean > keep.metrics")


def test_values_of_a_stage_come_when_it_ends_and_then_go_to_their_readers():
    made = measured()
    run = plan(made, stage="val")
    for _ in range(2):  # a stage forgets the one before
        run.start()
        for value in (1.0, 3.0):
            assert run(cubes(value)) == {}
        mean = {"mean": 2.0}
        assert run.finish() == {"a.mean": mean, "b.mean": mean, "keep.kept": [mean, mean]}
    assert made.nodes["a"].stage == "val"


def test_wanting_values_of_a_stage():
    run = plan(measured(), "keep.kept", "a.mean", "a.now")
    run.start()
    for _ in range(2):
        assert run(cubes(2.0)) == {"a.now": torch.tensor(2.0)}
    assert run.finish()["keep.kept"] == [{"mean": 2.0}, {"mean": 2.0}]


def test_a_node_that_does_not_run_is_left_out_of_closing_nodes():
    nodes = {"a": Mean(), "b": Mean(), "keep": Keep()}
    links = [Connection("batch.cube", f"{name}.data") for name in "ab"]
    links += [Connection(f"{name}.mean", "keep.metrics") for name in "ab"]
    run = plan(Graph(nodes, links, batch=Data.inputs, stages={"b": ("train",)}))
    run.start()
    run(cubes())
    assert run.finish()["keep.kept"] == [{"mean": 1.0}]


def test_an_error_at_the_end_of_a_stage_names_its_node():
    run = plan(measured())
    run.start()
    with pytest.raises(NodeError, match=r"node 'a' \(Mean\) failed: ZeroDivisionError: no batch"):
        run.finish()
