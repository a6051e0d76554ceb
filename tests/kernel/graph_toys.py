"""Toy nodes and graphs for the tests of graphs."""

import pytest

from specloom import Graph, Port, Ported, SpecloomError
from specloom.contract.ports import Connection

CUBE, SCORES = Port("B H W C"), Port("B H W 1")


class Data(Ported):
    inputs = {"cube": CUBE, "mask": Port("B H W", dtype="integer", optional=True)}
    outputs = {"cube": CUBE, "mask": Port("B H W 1", dtype="bool", optional=True)}
    entry = True


class Norm(Ported):
    inputs = {"data": Port("B H W C", doc="What is made even.")}
    outputs = {"normalized": CUBE}


class RX(Ported):
    inputs = {
        "data": CUBE,
        "valid": Port("B H W 1", dtype="bool", optional=True),
        "mask": Port("B H W 1", dtype="bool", for_fit=True),
    }
    outputs = {"scores": SCORES}
    fit_passes, fitted = 1, False

    def fit_start(self, pass_):
        pass

    fit_update = fit_state = fit_merge = fit_end = fit_start


def graph(nodes, *links, batch=Data.inputs, **kwargs):
    pairs = [link.split(" > ") for link in links]
    links = [Connection(*pair, f"run.yaml:{20 + i}") for i, pair in enumerate(pairs)]
    return Graph(nodes, links, batch=batch, **kwargs)


def reported(*args, **kwargs):
    with pytest.raises(SpecloomError) as caught:
        graph(*args, **kwargs)
    return str(caught.value)


GOOD = ("data.cube > norm.data", "norm.normalized > rx.data")


def nodes(**more):
    return {"rx": RX(), "norm": Norm(), "data": Data(), **more}
