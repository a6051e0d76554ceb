"""Toy nodes and batches for the tests of plans."""

import torch

from specloom import Graph, NodeError, Port, Ported
from specloom.contract.ports import Connection
from specloom.execution.plan import Plan
from specloom.runfile.yaml import parse
from specloom.torch import TorchRuntime

CUBE = Port("B H W C")


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


NODES = """\
nodes:
  data:
    type: toy.Data
  twice: {type: toy.Twice}
  sum: {type: toy.Sum}
"""


def graph(nodes, *links, document=None, batch=Data.inputs, **kwargs):
    links = [Connection(*link.split(" > ")) for link in links]
    return Graph(nodes, links, batch=batch, document=document, **kwargs)


def plan(made, *want, stage="test", **kwargs):
    return Plan(made, stage, TorchRuntime("cpu"), want or None, **kwargs)


def cubes(value=1.0, size=3):
    return {"cube": torch.full((1, size, size, 2), value)}


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


def chain(**more):
    nodes = {"data": Data(), "twice": Twice(), "sum": Sum(), **more}
    links = ["data.cube > twice.data", "twice.doubled > sum.terms", "data.cube > sum.terms"]
    return graph(nodes, *links, document=parse(NODES, "run.yaml"))
