"""A toy graph with state, in torch and in NumPy, for the tests of saved pipelines."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from specloom import Graph, IntegrityError, Plugins, Port, Ported, SpecloomError, impl
from specloom.contract.ports import Connection
from specloom.execution import saved_pipeline
from specloom.torch import StatisticalNode

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
    links = [Connection("batch.cube", "mean.data"), Connection("mean.centred", "table.data")]
    made = Graph(nodes, links, batch={"cube": CUBE}, batch_sizes={"H": 9, "C": c})
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
    saved_pipeline.save(path, made, {"name": "p", **metadata}, plugins())


def reported(path, kind=IntegrityError):
    """What a load is refused with."""
    with pytest.raises(SpecloomError) as caught:
        saved_pipeline.load(path, plugins())
    assert type(caught.value) is kind
    return str(caught.value)
