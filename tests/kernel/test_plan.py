"""Plans: only what is needed runs, values are freed, ports are checked when shapes change."""

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch

from specloom import DataError, Graph, GraphError, NodeError, Port, Ported, PortError, SpecloomError
from specloom.plan import Plan
from specloom.sizes import Link
from specloom.torch import TorchRuntime
from specloom.yamlfile import parse

CUBE = Port("B H W C")
NODES = """\
nodes:
  data:
    type: toy.Data
  twice: {type: toy.Twice}
  sum: {type: toy.Sum}
"""


class Data(Ported):
    inputs = {
        "cube": CUBE,
        "mask": Port("B H W", dtype="bool", optional=True),
        "info": Port(dtype="record", fields=("id",), optional=True),
        "paths": Port(dtype="object", optional=True),
    }
    outputs = {
        "cube": CUBE,
        "mask": Port("B H W", dtype="bool", optional=True),
        "info": Port(dtype="record", optional=True),
    }
    entry = True
    calls = 0

    def forward(self, cube, mask=None, info=None, paths=None):
        self.calls += 1
        return {"cube": cube * 1, "mask": mask, "info": info}


class Twice(Ported):
    inputs = {"data": CUBE, "mask": Port("B H W", dtype="bool", optional=True)}
    outputs = {"doubled": CUBE}
    calls = 0

    def forward(self, data, mask=None):
        self.calls += 1
        if (data < 0).any():
            raise ValueError("a negative number")
        if mask is not None and not mask.any():
            raise NodeError("nothing is left", fix="leave something")
        return {"doubled": data * 2}


class Sum(Ported):
    inputs = {"terms": Port("B H W C", many=True)}
    outputs = {"total": CUBE}

    def forward(self, terms):
        return {"total": torch.stack(terms).sum(0)}


class NumpyTwice(Twice):
    array_library = "numpy"

    def forward(self, data, mask=None):
        assert isinstance(data, np.ndarray)
        return {"doubled": data * np.float32(2)}


class Needs(Ported):
    inputs = {"mask": Port("B H W", dtype="bool", doc="What counts.")}
    outputs = {"kept": Port("B H W", dtype="bool")}

    def forward(self, mask):
        return {"kept": mask}


def graph(nodes, *links, document=None, batch=Data.inputs, **kwargs):
    links = [Link(*link.split(" > ")) for link in links]
    return Graph(nodes, links, batch=batch, document=document, **kwargs)


def plan(made, *want, stage="test", **kwargs):
    return Plan(made, stage, TorchRuntime("cpu"), want or None, **kwargs)


def cubes(value=1.0, size=3):
    return {"cube": torch.full((1, size, size, 2), value)}


def chain(**more):
    nodes = {"data": Data(), "twice": Twice(), "sum": Sum(), **more}
    links = ["data.cube > twice.data", "twice.doubled > sum.terms", "data.cube > sum.terms"]
    return graph(nodes, *links, document=parse(NODES, "run.yaml"))


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
    for end, fix in [
        ("sum.totl", "sum.total"),
        ("smu.total", "sum.total"),
        ("batch.cub", "batch.cube"),
    ]:
        with pytest.raises(GraphError) as caught:
            plan(made, end)
        assert str(caught.value) == f"there is no value {end!r}\n  fix: did you mean {fix!r}?"


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


@pytest.mark.parametrize("listener", [None, lambda *_: None])
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


def test_a_value_that_fits_no_port_names_port_and_place():
    run = plan(chain(), "twice.doubled")
    for _ in range(2):
        with pytest.raises(PortError) as caught:
            run({"cube": torch.ones(1, 3, 3, 2, dtype=torch.float64)})
        assert str(caught.value) == (
            "run.yaml:2: data.cube wants float32, got float64\n"
            "  fix: convert it to float32 in the node before"
        )
    with pytest.raises(PortError) as caught:
        run({"cube": torch.ones(3, 2)})
    assert str(caught.value) == (
        "run.yaml:2: data.cube wants axes (B H W C), got shape (3, 2)\n"
        "  fix: mend what comes from batch.cube"
    )


class Odd(Ported):
    """Gives what it should not, from the second batch on if asked."""

    inputs = {"data": CUBE}
    outputs = {"out": CUBE}

    def __init__(self, made: object = None, after: int = 0) -> None:
        self.made, self.after, self.calls = made, after, 0

    def forward(self, data):
        self.calls += 1
        return {"out": data} if self.calls <= self.after else self.made


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    ("made", "text"),
    [
        ({}, "odd did not make its output 'out'"),
        (None, "node 'odd' (Odd) gave NoneType, not its outputs by name"),
        (torch.ones(1), "node 'odd' (Odd) gave Tensor, not its outputs by name"),
    ],
)
def test_outputs_that_are_missing(made, text, after):
    document = parse("nodes:\n  odd: {type: toy.Odd}\n", "run.yaml")
    run = plan(
        graph({"odd": Odd(made, after)}, "batch.cube > odd.data", document=document), "odd.out"
    )
    for _ in range(after):
        run(cubes())
    with pytest.raises(NodeError) as caught:
        run(cubes())
    assert str(caught.value) == (
        f"run.yaml:2: {text}\n  fix: this is a mistake in the node: tell its author"
    )


def test_a_failing_node_is_named_alike_on_every_call():
    run, texts = plan(chain(), "sum.total"), []
    for value in (-1.0, 1.0, -1.0, -2.0):
        if value > 0:
            run(cubes(value))
            continue
        with pytest.raises(NodeError) as caught:
            run(cubes(value))
        texts.append(str(caught.value))
        assert isinstance(caught.value.__cause__, ValueError)
    assert set(texts) == {
        "run.yaml:4: node 'twice' (Twice) failed: ValueError: a negative number\n"
        "  fix: if its inputs are right this is a mistake in the node: tell its author"
    }


def test_an_error_of_ours_keeps_its_text_and_gets_a_place():
    made = chain()
    made.feeds["twice"]["mask"] = ["data.mask"]
    run = plan(made, "sum.total")
    batch = {**cubes(), "mask": torch.ones(1, 3, 3, dtype=torch.bool)}
    run(batch)
    for _ in range(2):
        with pytest.raises(NodeError) as caught:
            run({**batch, "mask": ~batch["mask"]})
        assert str(caught.value) == "run.yaml:4: nothing is left\n  fix: leave something"


class Inside(Twice):
    """Runs a plan of its own."""

    def forward(self, data, mask=None):
        return {"doubled": self.inner({"cube": data})["sum.total"]}


def test_a_plan_inside_a_node_does_not_hide_which_node_failed():
    inside = Inside()
    inside.inner = plan(chain(), "sum.total")
    run = plan(chain(twice=inside), "sum.total")
    for value in (1.0, -1.0, -1.0):
        try:
            run(cubes(value))
        except SpecloomError as e:
            text = str(e)
    assert text.startswith("run.yaml:4: node 'twice' (Twice) failed: ValueError")


def test_batches_without_optional_values_and_with_values_that_are_no_arrays():
    made = graph({"data": Data(), "needs": Needs()}, "data.mask > needs.mask")
    run = plan(made, "data.cube", "data.info", "batch.paths")
    info, paths = [{"id": 1}], ["a", "b"]
    for _ in range(2):
        assert run({**cubes(), "info": info, "paths": paths})["data.info"] is info
        assert run({**cubes(), "info": None})["data.info"] is None
        assert run({**cubes(), "extra": object()})["batch.paths"] is None
        assert run({**cubes(), "info": {"id": 2}})["data.info"] == {"id": 2}
    with pytest.raises(PortError, match=r"data\.info lacks the keys id"):
        run({**cubes(), "info": [{}], "paths": ()})
    needs = plan(made, "needs.kept")
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    for batch in ({**cubes(), "mask": mask}, {**cubes(), "mask": mask}):
        assert needs(batch)["needs.kept"].all()
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            needs(cubes())
        assert str(caught.value) == (
            "needs.mask needs a value (What counts.), and this batch has none\n"
            "  fix: use data that has it (data.mask), or remove needs"
        )


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
    run = plan(chain(), "sum.total", listener=lambda *args: heard.append(args))
    for _ in range(2):
        run(cubes())
    assert [name for name, _, _ in heard] == ["data", "twice", "sum"] * 2
    assert all(seconds >= 0 for _, _, seconds in heard)
    assert heard[1][1]["doubled"].eq(2).all()


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
    links = [Link("batch.cube", f"{name}.data") for name in "ab"]
    links += [Link(f"{name}.mean", "keep.metrics") for name in "ab"]
    run = plan(Graph(nodes, links, batch=Data.inputs, stages={"b": ("train",)}))
    run.start()
    run(cubes())
    assert run.finish()["keep.kept"] == [{"mean": 1.0}]


def test_an_error_at_the_end_of_a_stage_names_its_node():
    run = plan(measured())
    run.start()
    with pytest.raises(NodeError, match=r"node 'a' \(Mean\) failed: ZeroDivisionError: no batch"):
        run.finish()


class Fitted(Twice):
    fit_passes, fitted = 1, False

    def fit_start(self, pass_):
        pass

    fit_update = fit_state = fit_merge = fit_end = fit_start


def test_unfitted_nodes_are_refused_only_where_they_are_needed():
    made = chain(twice=Fitted())
    plan(made, "data.cube")(cubes())
    with pytest.raises(NodeError) as caught:
        plan(made, "sum.total")
    assert str(caught.value) == (
        "run.yaml:4: node 'twice' (Fitted) is not fitted\n"
        "  fix: put a training.StatisticalTrainer phase before, or load a fitted pipeline"
    )
    made.nodes["twice"].fitted = True
    plan(made, "sum.total")(cubes())


def test_unknown_sizes_are_refused_only_where_they_are_needed():
    class Sized(Twice):
        def build(self, sizes):
            self.c = sizes["C"]

    made = chain(twice=Sized())
    plan(made, "data.cube")(cubes())
    with pytest.raises(GraphError) as caught:
        plan(made, "sum.total")
    assert str(caught.value) == (
        "run.yaml:4: the sizes of node 'twice' do not follow from the graph\n"
        "  fix: give its size parameters, or make the data's files available"
    )
