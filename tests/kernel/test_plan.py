"""Plans: only what is needed runs, values are freed, ports are checked when shapes change."""

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch

from plan_toys import CUBE, Data, Twice, chain, cubes, graph, plan
from specloom import GraphError, NodeError, Port, Ported
from specloom.runfile.yaml import parse


class NumpyTwice(Twice):
    array_library = "numpy"

    def forward(self, data, mask=None):
        assert isinstance(data, np.ndarray)
        return {"doubled": data * np.float32(2)}


def test_values_are_those_of_the_nodes_on_every_call():
    run = plan(chain(), "sum.total", "twice.doubled", "batch.cube")
    for _ in range(3):
        values = run(cubes())
        assert values.keys() == {"sum.total", "twice.doubled", "batch.cube"}
        assert values["sum.total"].eq(3).all()
        assert values["twice.doubled"].eq(2).all()


def test_only_what_is_needed_runs():
    made = chain()
    run = plan(made, "data.cube")
    for _ in range(2):
        run(cubes())
    assert (made.nodes["data"].calls, made.nodes["twice"].calls) == (2, 0)
    everything = graph({"data": Data(), "twice": Twice()}, "data.cube > twice.data")
    assert plan(everything)(cubes()) == {}
    assert everything.nodes["twice"].calls == 1


def test_wanted_values_that_nobody_makes():
    made = chain()
    for end, what, fix in [
        ("sum.totl", "sum has no output 'totl'", "total"),
        ("smu.total", "there is no node 'smu'", "sum"),
        ("batch.cub", "batch has no output 'cub'", "cube"),
    ]:
        with pytest.raises(GraphError) as caught:
            plan(made, end)
        assert str(caught.value) == f"{what}\n  fix: did you mean {fix!r}?"


def test_nodes_of_other_stages_are_left_out():
    nodes = {"data": Data(), "masks": Data(), "twice": Twice()}
    links = ["data.cube > twice.data", "masks.mask > twice.mask"]
    document = parse("nodes:\n  masks: {type: toy.Data}\n", "run.yaml")
    made = graph(nodes, *links, stages={"masks": ("train",)}, document=document)
    run = plan(made, "twice.doubled", stage="predict")
    batch = {**cubes(), "mask": torch.zeros(1, 3, 3, dtype=torch.bool)}
    assert [run(batch)["twice.doubled"].eq(2).all() for _ in range(2)]
    assert nodes["masks"].calls == 0
    with pytest.raises(NodeError, match="nothing is left"):
        plan(made, "twice.doubled", stage="train")(batch)
    with pytest.raises(GraphError) as caught:
        plan(made, "masks.mask", stage="predict")
    assert str(caught.value) == (
        "run.yaml:2: masks does not run in the stage 'predict'\n  fix: add predict to its stages"
    )


class Watch(Ported):
    """Notes which earlier values are still alive."""

    inputs = {"data": CUBE}
    outputs = {"out": CUBE}

    def __init__(self, seen: list | None = None) -> None:
        self.seen = seen

    def forward(self, data):
        gc.collect()
        alive = [one() is not None for one in self.seen]
        self.seen.append(weakref.ref(data))
        self.alive = alive
        return {"out": data + 1}


@pytest.mark.parametrize("listener", [None, lambda **_: None])
def test_values_are_freed_after_their_last_reader(listener):
    seen = []
    names = ["a", "b", "c", "d"]
    nodes = {name: Watch(seen) for name in names}
    links = ["batch.cube > a.data", *(f"{x}.out > {y}.data" for x, y in pairwise(names))]
    run = plan(graph(nodes, *links), "d.out", listener=listener)
    batch = cubes()
    for _ in range(3):
        seen.clear()
        run(batch)
        # each sees its own input, and the batch that we hold; nothing between
        assert [node.alive for node in nodes.values()] == [
            [],
            [True],
            [True, False],
            [True, False, False],
        ]


def test_ports_are_checked_when_shapes_change_and_only_then(monkeypatch):
    checks = []
    monkeypatch.setattr(Port, "_check_one", lambda *args: checks.append(args))
    run = plan(chain(), "sum.total")
    counts = []
    for batch in [cubes(), cubes(), cubes(2.0), cubes(1.0, 4), cubes(), cubes(1.0, 4)]:
        run(batch)
        counts.append(len(checks))
    assert counts[0] > 0
    assert counts == [counts[0]] * 3 + [2 * counts[0]] * 3
    run({"cube": torch.ones(1, 3, 3, 2, dtype=torch.float64)})
    assert len(checks) > counts[-1]


def test_absent_values_are_left_out_of_many():
    class Count(Ported):
        inputs = {"masks": Port("B H W", dtype="bool", many=True)}
        outputs = {"count": Port(dtype="object")}

        def forward(self, masks):
            return {"count": len(masks)}

    nodes = {"a": Data(), "b": Data(), "n": Count()}
    made = graph(nodes, "a.mask > n.masks", "batch.mask > n.masks")
    run = plan(made, "n.count")
    for _ in range(2):
        assert run(cubes())["n.count"] == 0
        assert run({**cubes(), "mask": torch.ones(1, 3, 3, dtype=torch.bool)})["n.count"] == 2


def test_a_listener_hears_of_every_node_on_every_batch():
    heard = []
    run = plan(chain(), "sum.total", listener=lambda **reported: heard.append(reported))
    for _ in range(2):
        run(cubes())
    assert [reported["node"] for reported in heard] == ["data", "twice", "sum"] * 2
    assert all(reported["seconds"] >= 0 for reported in heard)
    assert heard[1]["outputs"]["doubled"].eq(2).all()


def test_numpy_nodes_are_converted_at_their_border():
    made = graph(
        {"data": Data(), "np": NumpyTwice(), "twice": Twice()},
        "data.cube > np.data",
        "np.doubled > twice.data",
    )
    run = plan(made, "np.doubled", "twice.doubled")
    for _ in range(2):
        values = run(cubes())
        assert isinstance(values["np.doubled"], torch.Tensor)
        assert values["twice.doubled"].eq(4).all()
