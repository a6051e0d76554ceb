"""Saved pipelines: equal bit for bit, and refused when anything about them was changed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from saved_toys import fitted, graph, plugins, save
from specloom import NodeError
from specloom.execution import saved_pipeline
from specloom.execution.plan import Plan
from specloom.torch import TorchNode, TorchRuntime


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "p.yaml", fitted())
    return tmp_path / "p.yaml"


def scores(made):
    plan = Plan(made, "predict", TorchRuntime("cpu"), ["table.data"])
    return plan({"cube": torch.ones(1, 2, 2, 4)})["table.data"]


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, one in ours.items():
        other = np.asarray(theirs[name])
        assert np.asarray(one).tobytes() == other.tobytes(), name
        assert np.asarray(one).dtype == other.dtype


def test_everything_comes_back_bit_for_bit(tmp_path):
    made = fitted(file=Path("a/b"), bands=((1, 2.5), (3, 4)))
    save(tmp_path / "p.yaml", made, description="grün\n1e-6: [no]\x07", tags=["a", "1"])
    again, metadata = saved_pipeline.load(tmp_path / "p.yaml", plugins())
    assert metadata == {"name": "p", "description": "grün\n1e-6: [no]\x07", "tags": ["a", "1"]}
    same(made.state(), again.state())
    assert again.types == {"mean": "toy.Mean", "table": "toy.Table"}
    assert (again.outputs, again.connections.incoming) == (made.outputs, made.connections.incoming)
    assert (again.nodes["mean"].file, again.nodes["mean"].bands) == (
        Path("a/b"),
        ((1, 2.5), (3, 4)),
    )
    assert (again.nodes["mean"].fitted, again.nodes["mean"].pixels) == (True, 5)
    assert torch.equal(scores(made).nan_to_num(7), scores(again).nan_to_num(7))
    save(tmp_path / "q.yaml", again, **metadata)
    assert (tmp_path / "q.safetensors").read_bytes() == (tmp_path / "p.safetensors").read_bytes()


def test_unfitted_stays_unfitted(tmp_path):
    save(tmp_path / "p.yaml", graph())
    again, _ = saved_pipeline.load(tmp_path / "p.yaml", plugins())
    assert again.unfitted() == ["mean"]
    with pytest.raises(NodeError, match="node 'mean' \\(Mean\\) is not fitted"):
        scores(again)


def test_a_node_that_is_not_fitted_refuses_forward_by_its_name_too():
    node = graph().nodes["mean"]
    data = torch.ones(1, 2, 2, 4)
    with pytest.raises(NodeError, match="is not fitted\n  fix: fit it in a phase before"):
        node.forward(data=data)
    again = fitted().nodes["mean"]
    assert again.forward(data=data).keys() == again(data=data).keys()


def test_unfrozen_nodes_are_saved_and_come_back_frozen(tmp_path):
    made = fitted()
    made.nodes["mean"].unfreeze()
    save(tmp_path / "p.yaml", made)
    again, _ = saved_pipeline.load(tmp_path / "p.yaml", plugins())
    assert list(again.nodes["mean"].parameters()) == []
    same(made.state(), again.state())


def test_stages_are_saved(tmp_path):
    made = fitted()
    made.stages["table"] = ("val", "predict")
    save(tmp_path / "p.yaml", made)
    loaded = saved_pipeline.load(tmp_path / "p.yaml", plugins())[0]
    assert loaded.stages["table"] == ("val", "predict")


def test_attributes_of_a_torch_node_are_registered_as_those_of_a_module():
    made = TorchNode()
    made.count = 1
    made.count = 2
    assert made.count == 2
    made.weight = 3
    made.weight = torch.nn.Parameter(torch.ones(2))
    assert list(dict(made.named_parameters())) == ["weight"]
    with pytest.raises(TypeError, match="weight"):
        made.weight = 4
    made.inner = 5
    made.inner = torch.nn.Linear(2, 2)
    assert list(dict(made.named_children())) == ["inner"]
    made.register_buffer("mean", torch.zeros(2))
    made.mean = torch.ones(2)
    assert made.state_dict()["mean"].tolist() == [1, 1]
