"""The running order of nodes: each after those that it is connected to."""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from specloom.contract.errors import GraphError, SpecloomError
from specloom.contract.ports import Connection
from specloom.runfile.names import BATCH


def running_order(
    names: Iterable[str], connections: Sequence[Connection]
) -> tuple[list[str], list[SpecloomError]]:
    """The nodes in running order, and the error of a cycle, if there is one.

    Args:
        names: The nodes, in the user's order, which they keep where there is a cycle.
        connections: The connections between them.
    """
    before: dict[str, list[str]] = {name: [] for name in names}
    for connection in connections:
        before[connection.target_node].append(connection.source_node)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError as e:
        return list(before), [_cycle_error(e.args[1], connections)]
    return [name for name in order if name != BATCH], []


def _cycle_error(cycle: Sequence[str], connections: Sequence[Connection]) -> SpecloomError:
    """The error for nodes that are connected in a circle, with the place of one connection."""
    what = f"the connections make a cycle: {' -> '.join(cycle)}"
    where = ""
    for connection in connections:
        if connection.source_node in cycle and connection.target_node in cycle:
            where = connection.where
            break
    return GraphError(what, where=where, fix="remove one of its connections")
