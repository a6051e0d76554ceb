"""Saved pipelines: equal bit for bit, and refused when anything about them was changed."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from specloom import (
    Graph,
    IntegrityError,
    NodeError,
    Plugins,
    Port,
    Ported,
    SpecloomError,
    impl,
    state,
)
from specloom.plan import Plan
from specloom.ports import Link
from specloom.torch import StatisticalNode, TorchRuntime

CUBE = Port("B H W C")


class Mean(StatisticalNode):
    inputs = {"data": Port("B H W C")}
    outputs = {"centred": Port("B H W C")}
    trainable = ("mean",)

    def __init__(
        self, file: Path | None = None, bands: tuple[tuple[float, float], ...] = ()
    ) -> None:
        super().__init__()
        self.file, self.bands = file, bands

    def build(self, sizes):
        self.register_buffer("mean", torch.zeros(sizes["C"], dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))

    def fit_start(self, pass_):
        self.sums = []

    def fit_update(self, data):
        self.sums.append(data.double().mean((0, 1, 2)))

    def fit_state(self):
        return {"sum": sum(self.sums)}

    def fit_merge(self, state):
        self.sums.append(state["sum"])

    def fit_end(self):
        self.mean.copy_(sum(self.sums) / len(self.sums))
        self.finish_fit(5)

    def forward(self, data):
        return {"centred": (data - self.mean).float()}


class Table(Ported):
    """A NumPy node with state."""

    inputs = {"data": Port("B H W C")}
    outputs = {"data": Port("B H W C")}
    array_library = "numpy"
    table = None

    def forward(self, data):
        return {"data": (data + self.table).astype(np.float32)}

    def state(self):
        return {} if self.table is None else {"a.table": self.table}

    def restore(self, state):
        if state:
            assert isinstance(state["a.table"], np.ndarray)
            self.table = state["a.table"]


def plugins():
    toy = ModuleType("toy")

    def register_nodes():
        return {"Mean": f"{__name__}:Mean", "Table": f"{__name__}:Table"}

    toy.register_nodes = impl(register_nodes)
    return Plugins({"toy": toy})


def graph(c=4, **params):
    nodes = {"mean": Mean(**params), "table": Table()}
    links = [Link("batch.cube", "mean.data"), Link("mean.centred", "table.data")]
    made = Graph(nodes, links, batch={"cube": CUBE}, given={"H": 9, "C": c})
    made.outputs["out"] = "table.data"
    return made


def fitted(c=4, seed=0, **params):
    made, random = graph(c, **params), torch.Generator().manual_seed(seed)
    mean = made.nodes["mean"]
    mean.fit_start(0)
    mean.fit_update(torch.randn(1, 2, 2, c, generator=random))
    mean.fit_end()
    made.nodes["table"].table = np.array([np.nan, -0.0, 1e-300, 1 / 3][:c])
    return made


def save(path, made, **metadata):
    state.save(path, made, {"name": "p", **metadata}, plugins())


def told(path, kind=IntegrityError):
    with pytest.raises(SpecloomError) as caught:
        state.load(path, plugins())
    assert type(caught.value) is kind
    return str(caught.value)


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
    again, metadata = state.load(tmp_path / "p.yaml", plugins())
    assert metadata == {"name": "p", "description": "grün\n1e-6: [no]\x07", "tags": ["a", "1"]}
    same(made.state(), again.state())
    assert again.types == {"mean": "toy.Mean", "table": "toy.Table"}
    assert (again.outputs, again.feeds) == (made.outputs, made.feeds)
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
    again, _ = state.load(tmp_path / "p.yaml", plugins())
    assert again.unfitted() == ["mean"]
    with pytest.raises(NodeError, match="node 'mean' \\(Mean\\) is not fitted"):
        scores(again)


def test_unfrozen_nodes_are_saved_and_come_back_frozen(tmp_path):
    made = fitted()
    made.nodes["mean"].unfreeze()
    save(tmp_path / "p.yaml", made)
    again, _ = state.load(tmp_path / "p.yaml", plugins())
    assert list(again.nodes["mean"].parameters()) == []
    same(made.state(), again.state())


def test_stages_are_saved(tmp_path):
    made = fitted()
    made.stages["table"] = ("val", "predict")
    save(tmp_path / "p.yaml", made)
    assert state.load(tmp_path / "p.yaml", plugins())[0].stages["table"] == ("val", "predict")
