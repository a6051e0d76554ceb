"""Sizes propagate along and against connections, through formulas, and meet in conflicts."""

from typing import ClassVar

import pytest

from specloom import ConfigError, Graph, Port, Ported, SpecloomError
from specloom.contract.ports import Connection
from specloom.runfile.yaml import Document


class Data(Ported):
    inputs = {"cube": Port("B H W C")}
    outputs = {"cube": Port("B H W C")}
    entry = True


class Norm(Ported):
    inputs = {"data": Port("B H W C")}
    outputs = {"normalized": Port("B H W C")}


class RX(Ported):
    inputs = {"data": Port("B H W num_channels")}
    outputs = {"scores": Port("B H W 1"), "mean": Port("num_channels")}
    built: ClassVar = None

    def __init__(self, num_channels: int | None = None) -> None:
        self.num_channels = num_channels

    def build(self, sizes):
        self.built = dict(sizes)


class Rgb(Ported):
    inputs = {"data": Port("B H W 3")}
    outputs = {"rgb": Port("B H W 3")}


class Halve(Ported):
    inputs = {"data": Port("B H W C")}
    outputs = {"half": Port("B H W K")}

    def __init__(self, ratio: int = 2) -> None:
        self.ratio = ratio

    @classmethod
    def sizes(cls, params, known):
        if params["ratio"] == 0:
            raise ConfigError("ratio is 0", fix="give a ratio from 1")
        return {"K": known["C"] // params["ratio"]}


class Pick(Ported):
    inputs = {"data": Port("B H W C"), "weights": Port("n_select", optional=True)}
    outputs = {"picked": Port("B H W n_select")}

    def __init__(self, n_select: int = 3) -> None:
        self.n_select = n_select

    def build(self, sizes):
        self.built = dict(sizes)


class Spectrum(Ported):
    inputs = {"data": Port("... C")}
    outputs = {"sum": Port("C")}


def graph(nodes, *links, batch_sizes=None, document=None):
    pairs = (link.split(" > ") for link in links)
    places = [Connection(*pair, f"run.yaml:{20 + i}") for i, pair in enumerate(pairs)]
    return Graph(nodes, places, batch=Data.inputs, batch_sizes=batch_sizes, document=document)


def reported(*args, **kwargs):
    with pytest.raises(SpecloomError) as caught:
        graph(*args, **kwargs)
    return str(caught.value)


def test_from_the_header_to_a_parameter_that_is_filled_in():
    nodes = {"data": Data(), "norm": Norm(), "rx": RX()}
    made = graph(
        nodes,
        "data.cube > norm.data",
        "norm.normalized > rx.data",
        batch_sizes={"H": 4, "W": 5, "C": 61},
    )
    assert nodes["rx"].num_channels == 61
    assert nodes["rx"].built == {"num_channels": 61}
    assert (made.sizes("norm"), made.unbuilt) == ({"C": 61}, [])  # not those of the image


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_against_the_flow_where_the_data_say_nothing(order):
    links = ["data.cube > norm.data", "norm.normalized > rx.data"]
    made = graph({"data": Data(), "norm": Norm(), "rx": RX(7)}, *(links[i] for i in order))
    assert (made.sizes("data").get("C"), made.sizes("batch").get("C")) == (7, 7)


def test_unknown_sizes_leave_nodes_unbuilt_but_pass():
    class Weighted(Norm):
        def build(self, sizes):
            self.weights = [0.0] * sizes["C"]

    made = graph({"data": Data(), "norm": Weighted()}, "data.cube > norm.data")
    assert made.unbuilt == ["norm"]
    assert made.sizes("norm").get("C") is None


def test_a_formula_runs_when_what_it_needs_is_known():
    nodes = {"data": Data(), "half": Halve(), "rx": RX()}
    links = ["half.half > rx.data", "data.cube > half.data"]
    graph(nodes, *links, batch_sizes={"C": 60})
    assert nodes["rx"].num_channels == 30
    assert graph({"data": Data(), "half": Halve()}, links[1]).sizes("half").get("K") is None


def test_a_formula_that_refuses_is_told_with_its_node():
    document = Document("run.yaml", places={("nodes", "half"): "run.yaml:7"})
    assert reported({"half": Halve(0)}, document=document) == (
        "run.yaml:7: half.data is not connected\n"
        "  fix: add a connection - [node.output, half.data]\n"
        "run.yaml:7: ratio is 0\n  fix: give a ratio from 1"
    )


def test_a_formula_is_not_overruled_by_what_comes_after_it():
    nodes = {"data": Data(), "half": Halve(), "rx": RX(15)}
    text = reported(nodes, "half.half > rx.data", "data.cube > half.data", batch_sizes={"C": 60})
    assert text == (
        "run.yaml:20: half.half has K = 30 (K of half), "
        "but rx.data wants num_channels = 15 (num_channels: 15 of rx)\n"
        "  fix: make these agree: K of half; num_channels: 15 of rx"
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_conflict_names_both_facts_and_the_parameter_to_remove(order):
    """The tutorial's own graph: 15 channels are asked for, the scene has 61."""
    document = Document(
        "run.yaml", places={("nodes", "rx", "config", "num_channels"): "run.yaml:12"}
    )
    links = ["data.cube > norm.data", "norm.normalized > rx.data"]
    text = reported(
        {"data": Data(), "norm": Norm(), "rx": RX(15)},
        *(links[i] for i in order),
        batch_sizes={"C": 61},
        document=document,
    )
    assert text == (
        f"run.yaml:{20 + order.index(1)}: norm.normalized has C = 61 (the data), but "
        "rx.data wants num_channels = 15 (num_channels: 15 of rx (run.yaml:12))\n"
        "  fix: remove num_channels from rx (run.yaml:12): it follows from the graph (61)"
    )


def test_fixed_sizes_in_conflict():
    nodes = {"data": Data(), "rx": RX(9), "rgb": Rgb()}
    assert reported(nodes, "data.cube > rx.data", "rx.scores > rgb.data") == (
        "run.yaml:21: rx.scores has an axis of 1, but rgb.data wants an axis of 3\n"
        "  fix: make these agree: 1 of rx.scores; 3 of rgb.data"
    )


def test_open_fronts_pass_the_last_axes_on():
    made = graph(
        {"data": Data(), "s": Spectrum()}, "data.cube > s.data", batch_sizes={"C": 8, "H": 2}
    )
    assert (made.sizes("s").get("C"), made.sizes("s").get("H")) == (8, None)


def test_a_node_is_built_when_it_is_made_only_where_all_its_sizes_are_given():
    assert RX(5).built == {"num_channels": 5}
    assert RX().built is None
    assert not hasattr(Pick(2), "built")
    nodes = {"data": Data(), "pick": Pick(2)}
    graph(nodes, "data.cube > pick.data", batch_sizes={"C": 8})
    assert nodes["pick"].built == {"C": 8, "n_select": 2}


def test_a_node_that_was_built_refuses_other_sizes():
    node = Norm()
    graph({"data": Data(), "norm": node}, "data.cube > norm.data", batch_sizes={"C": 8})
    graph({"data": Data(), "norm": node}, "data.cube > norm.data", batch_sizes={"C": 8, "H": 9})
    assert reported(
        {"data": Data(), "norm": node}, "data.cube > norm.data", batch_sizes={"C": 9}
    ) == ("Norm was built for C = 8, here C is 9\n  fix: make a new node for data of other sizes")
