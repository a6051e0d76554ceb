"""Nodes that need what no batch of the source has."""

from collections.abc import Mapping
from typing import Any

from specloom.contract.errors import DataError, SpecloomError
from specloom.contract.ports import node_of
from specloom.graph.graph import Graph


def absent_data_problems(graph: Graph, source: Any) -> list[SpecloomError]:
    """An error for each node that needs an output which the source has in no batch."""
    if not hasattr(source, "absent_outputs"):
        return []
    absent: Mapping[str, str] = source.absent_outputs()
    problems: list[SpecloomError] = []
    for port, fix in absent.items():
        names = _direct_readers(graph, port)
        if not names:
            continue
        needing = ", ".join(graph.label(name) for name in names)
        what = f"the data have no {port}, and {needing} cannot run without"
        problems.append(DataError(what, where=graph.where("data"), fix=fix))
    return problems


def _direct_readers(graph: Graph, port: str) -> list[str]:
    """The nodes that cannot run without a port, but for those behind another one of them."""
    missing = graph.without([port])
    lost = set(missing.nodes)
    found = []
    for name in missing.nodes:
        ends: list[str] = []
        for sources in graph.incoming(name).values():
            ends += sources
        sources_of_node = {node_of(end) for end in ends}
        if sources_of_node.isdisjoint(lost):
            found.append(name)
    return found
