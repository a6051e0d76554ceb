"""What goes wrong in a batch names its node and place, alike on every call."""

import pytest
import torch

from plan_toys import CUBE, Data, Twice, chain, cubes, graph, plan
from specloom import DataError, GraphError, NodeError, Port, Ported, PortError, SpecloomError
from specloom.runfile.yaml import parse


class Needs(Ported):
    inputs = {"mask": Port("B H W", dtype="bool", doc="What counts.")}
    outputs = {"kept": Port("B H W", dtype="bool")}

    def forward(self, mask):
        return {"kept": mask}


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
        "  fix: correct the values of batch.cube"
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
        (None, "node 'odd' (Odd) returned NoneType, not its outputs by name"),
        (torch.ones(1), "node 'odd' (Odd) returned Tensor, not its outputs by name"),
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
        f"run.yaml:2: {text}\n  fix: report this error to the author of the node"
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
        "  fix: check its inputs; if they are right, report the error to the author of the node"
    }


def test_an_error_of_ours_keeps_its_text_and_gets_a_place():
    made = chain()
    made.connections.incoming["twice"]["mask"] = ["data.mask"]
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
            "needs.mask needs a value (What counts), and this batch has none\n"
            "  fix: use data that has it (data.mask), or remove needs"
        )


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
        "  fix: fit it in a phase before, or load a fitted pipeline"
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
