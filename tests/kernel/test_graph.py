"""Graphs: every way in which nodes and connections cannot work, reported together."""

import pytest

from graph_toys import CUBE, GOOD, RX, SCORES, Data, Norm, graph, nodes, reported
from specloom import Port, Ported, PortError

METRICS = Port(dtype="scalars", per_stage=True)


class Score(Ported):
    inputs = {"decisions": SCORES}
    outputs = {"metrics": METRICS}


class Monitor(Ported):
    inputs = {"metrics": Port(dtype="scalars", per_stage=True, many=True)}
    outputs = {}


class Plain:
    """A node by structure alone."""

    inputs = {"cube": CUBE}
    outputs = {"sum": Port("")}

    def forward(self, cube):
        return {"sum": cube.sum()}


def test_order_feeds_and_ancestors():
    made = graph(nodes(), *GOOD, "data.mask > rx.mask", outputs={"scores": "rx.scores"})
    assert made.order == ["data", "norm", "rx"]
    assert made.incoming("rx") == {"data": ["norm.normalized"]}
    assert made.incoming("rx", fit=True) == {"data": ["norm.normalized"], "mask": ["data.mask"]}
    assert made.incoming("data") == {"cube": ["batch.cube"], "mask": ["batch.mask"]}
    assert made.ancestors(["norm.normalized"]) == {"norm", "data"}
    assert made.ancestors(["rx.scores"], among=["rx", "norm"]) == {"rx", "norm"}
    assert made.fittable() == made.unfitted() == ["rx"]
    assert [node.name for node in made.nodes.values()] == ["rx", "norm", "data"]


def test_a_node_needs_no_base_class():
    assert graph({"plain": Plain()}, "batch.cube > plain.cube").order == ["plain"]


def test_unknown_ends():
    assert reported(nodes(), "dat.cube > norm.data", GOOD[1]) == (
        "run.yaml:20: there is no node 'dat'\n  fix: did you mean 'data'?"
    )
    assert reported(nodes(), "data.cubes > norm.data", GOOD[1]) == (
        "run.yaml:20: data has no output 'cubes'\n  fix: did you mean 'cube'?"
    )
    assert reported(nodes(), "data.cube > norm.dta", GOOD[1]) == (
        "run.yaml:20: norm has no input 'dta'\n  fix: did you mean 'data'?"
    )
    assert reported(nodes(), "data.cube > nrm.data", GOOD[1]) == (
        "run.yaml:20: there is no node 'nrm'\n  fix: did you mean 'norm'?"
    )
    assert reported(nodes(), GOOD[0], GOOD[1], "batch.labels > rx.valid") == (
        "run.yaml:22: batch has no output 'labels'\n  fix: use one of: cube, mask"
    )
    assert reported({"m": Monitor(), "n": Monitor()}, "m.x > n.metrics") == (
        "run.yaml:20: m has no output 'x'\n  fix: m has no outputs"
    )


def test_both_ends_of_one_connection():
    assert reported(nodes(), "dat.cube > nrm.data", GOOD[1]) == (
        "run.yaml:20: there is no node 'dat'\n  fix: did you mean 'data'?\n"
        "run.yaml:20: there is no node 'nrm'\n  fix: did you mean 'norm'?"
    )


def test_a_connection_the_wrong_way_round():
    assert reported(nodes(), "norm.data > data.cube", GOOD[1]) == (
        "run.yaml:20: norm has no output 'data'\n"
        "  fix: norm.data is an input: a connection goes from an output to an input"
    )


def test_two_connections_into_one_input():
    assert reported(nodes(), *GOOD, "data.cube > rx.data") == (
        "run.yaml:22: rx.data is connected to norm.normalized (run.yaml:21) and to data.cube\n"
        "  fix: remove one of the two connections"
    )


def test_any_number_of_connections_into_a_port_for_many():
    both = {"a": Score(), "b": Score(), "m": Monitor()}
    links = ["rx.scores > a.decisions", "rx.scores > b.decisions"]
    made = graph(nodes(**both), *GOOD, *links, "a.metrics > m.metrics", "b.metrics > m.metrics")
    assert made.connections.incoming["m"] == {"metrics": ["a.metrics", "b.metrics"]}
    assert "m" in graph(nodes(m=Monitor()), *GOOD).order


def test_ends_that_do_not_fit():
    assert reported(nodes(), *GOOD, "data.cube > rx.valid") == (
        "run.yaml:22: data.cube is float32 but rx.valid wants bool\n"
        "  fix: connect rx.valid to a value that fits"
    )
    with pytest.raises(PortError):
        graph(nodes(), *GOOD, "data.cube > rx.valid")
    assert reported(nodes(), *GOOD, batch={"cube": Port("B H W C", dtype="uint16")}) == (
        "batch.cube is uint16 but data.cube wants float32\n"
        "  fix: connect data.cube to a value that fits"
    )


def test_a_cycle():
    ring = {"a": Norm(), "b": Norm(), "c": Norm()}
    links = ["a.normalized > b.data", "b.normalized > c.data", "c.normalized > a.data"]
    text = reported(ring, *links)
    assert text in {
        f"run.yaml:20: the connections make a cycle: {ring}\n  fix: remove one of its connections"
        for ring in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c")
    }
    assert reported({"a": Norm()}, "a.normalized > a.data") == (
        "run.yaml:20: the connections make a cycle: a -> a\n  fix: remove one of its connections"
    )


def test_inputs_that_nobody_feeds():
    assert reported(nodes(), GOOD[1]) == (
        "norm.data is not connected (What is made even.)\n"
        "  fix: add a connection - [node.output, norm.data]"
    )


def test_what_the_batch_lacks():
    assert reported(nodes(), *GOOD, batch={"image": CUBE, "mask": Data.inputs["mask"]}) == (
        "data.cube comes from the data, which has no 'cube' (it has image, mask)\n"
        "  fix: use a source that offers 'cube'"
    )
    made = graph(nodes(), *GOOD, batch={"cube": CUBE})
    assert made.incoming("data") == {"cube": ["batch.cube"]}


def test_an_entry_node_can_be_wired_by_hand():
    made = graph(nodes(), *GOOD, "batch.radiance > data.cube", batch={"radiance": CUBE})
    assert made.incoming("data") == {"cube": ["batch.radiance"]}


def test_outputs():
    assert reported(nodes(), *GOOD, outputs={"s": "rx.score", "t": "r.scores", "m": "m.x"}) == (
        "output 's': rx has no output 'score'\n  fix: did you mean 'scores'?\n"
        "output 't': there is no node 'r'\n  fix: did you mean 'rx'?\n"
        "output 'm': there is no node 'm'\n  fix: use one of: data, norm, rx"
    )


def test_stages():
    stages = {"norm": ("train", "val", "test")}
    assert reported(nodes(), *GOOD, stages=stages) == (
        "run.yaml:21: rx runs in predict, but norm, which it needs, does not\n"
        "  fix: give rx stages: [train, val, test], or let norm run too"
    )
    graph(nodes(), *GOOD, stages={**stages, "rx": ("test",)})
    made = {"all": Data(), "some": Data(), "rx": RX()}
    links = ["all.cube > rx.data", "some.mask > rx.valid"]
    assert graph(made, *links, stages={"some": ("train", "val")}).stages["some"] == ("train", "val")


def test_values_of_a_stage_and_of_a_batch_do_not_mix():
    wrong = nodes(m=Monitor(), loss=LossLike())
    assert reported(wrong, *GOOD, "rx.scores > loss.scores", "loss.parts > m.metrics") == (
        "run.yaml:23: loss.parts is made for each batch but m.metrics wants what is known when a "
        "stage ends\n  fix: connect m.metrics to a value that fits"
    )


class LossLike(Ported):
    inputs = {"scores": SCORES}
    outputs = {"parts": Port(dtype="scalars")}
