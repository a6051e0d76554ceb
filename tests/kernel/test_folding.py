"""Folding: an affine node goes into the linear map behind it where nobody can tell."""

import pytest
import torch

from specloom import Graph, Port, Ported
from specloom.plan import Plan
from specloom.ports import Link
from specloom.torch import TorchRuntime

CUBE = Port("B H W C")


class Scale(Ported):
    inputs = {"data": Port("B H W C", dtype="real"), "valid": Port("B H W 1", optional=True)}
    outputs = {"scaled": CUBE}
    calls = 0

    def __init__(self, on: bool = True, factor: float = 2.0) -> None:
        self.on, self.factor = on, factor

    def forward(self, data, valid=None):
        self.calls += 1
        return {"scaled": data.float() * self.factor + 1}

    def affine(self):
        return (self.factor, 1.0) if self.on else None


class TwoOutputs(Scale):
    outputs = {"scaled": CUBE, "raw": CUBE}

    def forward(self, data, valid=None):
        return {**super().forward(data), "raw": data}


class TwoInputs(Scale):
    inputs = {"data": Scale.inputs["data"], "valid": Port("B H W 1")}


class Linear(Ported):
    inputs = {"data": CUBE, "weights": Port("B H W C", optional=True)}
    outputs = {"out": CUBE}
    absorbs = "data"
    refuse = False

    def forward(self, data, weights=None):
        return {"out": data * 3}

    def absorb(self, scale, offset):
        if self.refuse:
            return None
        return lambda data, weights=None: {"out": data * (3 * scale) + 3 * offset}


class NumpyLinear(Linear):
    array_library = "numpy"


def built(links, batch=CUBE, **nodes):
    links = [Link(*link.split(" > ")) for link in links]
    return Graph(nodes, links, batch={"cube": batch, "valid": Port("B H W 1")})


def plan(graph, *want):
    return Plan(graph, "test", TorchRuntime("cpu"), want, fold=True)


PAIR = ["batch.cube > scale.data", "scale.scaled > linear.data"]


def test_it_folds_where_nobody_else_reads():
    graph = built(PAIR, scale=Scale(), linear=Linear())
    run, plain = plan(graph, "linear.out"), Plan(graph, "test", TorchRuntime("cpu"), ["linear.out"])
    batch = {"cube": torch.randn(1, 2, 2, 3)}
    for _ in range(2):
        assert torch.allclose(run(batch)["linear.out"], plain(batch)["linear.out"])
    assert graph.nodes["scale"].calls == 2
    assert [step.name for step in run.steps] == ["linear"]


def test_an_optional_input_that_does_not_matter_while_the_node_is_affine():
    graph = built([*PAIR, "batch.valid > scale.valid"], scale=Scale(), linear=Linear())
    assert [step.name for step in plan(graph, "linear.out").steps] == ["linear"]


def test_of_two_affine_nodes_the_nearer_one_folds():
    links = ["batch.cube > far.data", "far.scaled > scale.data", PAIR[1]]
    graph = built(links, far=Scale(factor=5.0), scale=Scale(), linear=Linear())
    run = plan(graph, "linear.out")
    assert [step.name for step in run.steps] == ["far", "linear"]
    assert run({"cube": torch.ones(1, 1, 1, 1)})["linear.out"].item() == 3 * (2 * 6 + 1)


KEPT = {
    "it is wanted": (PAIR, {}, ["linear.out", "scale.scaled"]),
    "another node reads it": ([*PAIR, "scale.scaled > other.data"], {"other": Scale()}, None),
    "the reader takes it twice": ([*PAIR, "scale.scaled > linear.weights"], {}, None),
    "it goes to another input": (
        [PAIR[0], "batch.cube > linear.data", "scale.scaled > linear.weights"],
        {},
        None,
    ),
    "it is not affine now": (PAIR, {"scale": Scale(on=False)}, None),
    "it has a second input": ([*PAIR, "batch.valid > scale.valid"], {"scale": TwoInputs()}, None),
    "it has a second output": (
        [*PAIR, "scale.raw > other.data"],
        {"scale": TwoOutputs(), "other": Linear()},
        None,
    ),
    "the reader works on NumPy arrays": (PAIR, {"linear": NumpyLinear()}, None),
    "the reader is not linear": (
        [PAIR[0], "scale.scaled > linear.data"],
        {"linear": Scale()},
        ["linear.scaled"],
    ),
}


@pytest.mark.parametrize(("links", "nodes", "want"), KEPT.values(), ids=KEPT)
def test_it_stays_where(links, nodes, want):
    graph = built(links, **{"scale": Scale(), "linear": Linear(), **nodes})
    want = want or [
        "linear.out",
        *(["other.scaled"] if "other" in nodes and "raw" not in links[-1] else []),
    ]
    assert "scale" in [step.name for step in plan(graph, *want).steps]


def test_it_stays_where_the_reader_refuses():
    linear = Linear()
    linear.refuse = True
    assert len(plan(built(PAIR, scale=Scale(), linear=linear), "linear.out").steps) == 2


def test_it_stays_where_the_reader_would_get_a_type_that_it_does_not_take():
    graph = built(PAIR, Port("B H W C", dtype="uint16"), scale=Scale(), linear=Linear())
    run = plan(graph, "linear.out")
    assert len(run.steps) == 2
    cube = torch.ones(1, 1, 1, 1, dtype=torch.uint16)
    assert run({"cube": cube})["linear.out"].item() == 9
