"""W5: what the executor adds to a node, in a chain of nodes that do nothing; prints JSON.

    python benchmarks/chain.py [--nodes 50] [--repeats 5]

The plan of the chain and the same nodes called by hand take turns; ``us`` holds, in microseconds,
the least and the median of the difference for each node, and of a plan of one node as a whole.
"""

import argparse
import json
import statistics
import time
from itertools import pairwise

import torch
from timing import about

from specloom import Pipeline, Port, Run
from specloom.torch import TorchNode
from specloom_cubes import AnomalyDataNode, InMemory


class Same(TorchNode):
    """Gives what it gets."""

    inputs = {"data": Port("B H W C", doc="Anything.")}
    outputs = {"same": Port("B H W C", doc="The same.")}
    locality = "pixel"

    def forward(self, data: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give it back."""
        return {"same": data}


def measured(count: int, repeats: int) -> dict[str, list[float]]:
    """Microseconds of a plan of ``count`` nodes, of the nodes by hand, and of a plan of one."""
    entry, nodes = AnomalyDataNode([0], name="data"), [Same() for _ in range(count)]
    pipeline = Pipeline()
    pipeline.connect((entry.outputs.cube, nodes[0].data))
    pipeline.connect(*((one.same, other.data) for one, other in pairwise(nodes)))
    batch = {"cube": torch.zeros(1, 8, 8, 61)}
    source = InMemory(train=[batch])
    run = Run(pipeline.graph(source), source, device="cpu")
    whole, short = (run.plan("predict", [f"{n.name}.same"]) for n in (nodes[-1], nodes[0]))

    def by_hand() -> None:
        value = entry.forward(**batch)["cube"]
        for node in nodes:
            value = node.forward(data=value)["same"]

    calls = {"plan": lambda: whole(batch), "by hand": by_hand, "one": lambda: short(batch)}
    found: dict[str, list[float]] = {name: [] for name in calls}
    with run.inference():
        for _ in range(repeats):
            for name, call in calls.items():
                started = time.perf_counter_ns()
                call()
                found[name].append((time.perf_counter_ns() - started) / 1e3)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measured(options.nodes, 40 * options.repeats)
    us = {}
    for name, of in (("least", min), ("median", statistics.median)):
        plan, bare, one = (of(found[key]) for key in ("plan", "by hand", "one"))
        us[f"a node, {name}"] = round((plan - bare) / options.nodes, 2)
        us[f"a plan of one node, {name}"] = round(one, 1)
    print(json.dumps({**about("W5", 1), "us": us}, indent=2))
