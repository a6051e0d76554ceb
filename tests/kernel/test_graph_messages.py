"""Graphs whose nodes are wrong, and many mistakes at once."""

from graph_toys import GOOD, Data, Norm, nodes, reported
from specloom import GraphError, NodeError, Problems
from specloom.runfile.yaml import parse


def test_a_node_that_could_not_be_made_causes_no_further_errors():
    earlier = [GraphError("no such class", where="run.yaml:3")]
    made = {**nodes(), "norm": None}
    assert reported(made, *GOOD, outputs={"n": "norm.normalized"}, problems=earlier) == (
        "run.yaml:3: no such class"
    )


def test_a_node_that_fails_to_build_is_named():
    class Broken(Norm):
        def build(self, sizes):
            if sizes["C"] == 1:
                raise Problems([NodeError("few", fix="more"), NodeError("bad", where="x:1")])
            raise ZeroDivisionError("by zero")

    document = parse("nodes:\n  norm:\n    config: {}\n", "run.yaml")
    made = {"data": Data(), "norm": Broken()}
    assert reported(made, GOOD[0], batch_sizes={"C": 4}, document=document) == (
        "run.yaml:3: node 'norm' (Broken) failed: ZeroDivisionError: by zero\n"
        "  fix: check its inputs; if they are right, report the error to the author of the node"
    )
    made = {"data": Data(), "norm": Broken()}
    assert reported(made, GOOD[0], batch_sizes={"C": 1}, document=document) == (
        "run.yaml:3: few\n  fix: more\nx:1: bad"
    )


def test_everything_wrong_at_once_in_the_order_of_the_file():
    wrong = nodes(lone=Norm(), loop=Norm())
    text = reported(
        wrong,
        *GOOD,
        "data.cube > rx.data",
        "loop.normalized > loop.data",
        "data.cub > rx.valid",
        outputs={"x": "rx.y"},
    )
    assert text == (
        "run.yaml:22: rx.data is connected to norm.normalized (run.yaml:21) and to data.cube\n"
        "  fix: remove one of the two connections\n"
        "run.yaml:23: the connections make a cycle: loop -> loop\n"
        "  fix: remove one of its connections\n"
        "run.yaml:24: data has no output 'cub'\n  fix: did you mean 'cube'?\n"
        "lone.data is not connected (What is made even.)\n"
        "  fix: add a connection - [node.output, lone.data]\n"
        "output 'x': rx has no output 'y'\n  fix: use one of: scores"
    )
