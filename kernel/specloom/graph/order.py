"""The running order of nodes: each after those that it is connected to."""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from specloom.contract.errors import GraphError, SpecloomError
from specloom.contract.ports import Connection
from specloom.runfile.names import BATCH


def running_order(
    names: Iterable[str],
    connections: Sequence[Connection],
) -> tuple[list[str], list[SpecloomError]]:
    """The nodes in running order, and the error of a cycle, if there is one.

    Args:
        names: The nodes, in the user's order, which they keep where there is a cycle.
        connections: The connections between them.
    """
    before: dict[str, list[str]] = {name: [] for name in names}
    for connection in connections:
        sources = before[connection.target_node]
        sources.append(connection.source_node)
    try:
        sorter = TopologicalSorter(before)
        order = list(sorter.static_order())
    except CycleError as e:
        cycle = e.args[1]
        return list(before), [_cycle_error(cycle, connections)]
    if BATCH in order:
        order.remove(BATCH)
    return order, []


def _cycle_error(cycle: Sequence[str], connections: Sequence[Connection]) -> SpecloomError:
    """The error for nodes that are connected in a circle, with the place of one connection."""
    path = " -> ".join(cycle)
    where = ""
    for connection in connections:
        source = connection.source_node
        target = connection.target_node
        if source in cycle and target in cycle:
            where = connection.where
            break
    what = f"the connections make a cycle: {path}"
    return GraphError(what, where=where, fix="remove one of its connections")
