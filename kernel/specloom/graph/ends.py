"""The ends of connections, written as ``node.port``: what is wrong with one."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from specloom.contract.errors import GraphError, SpecloomError, did_you_mean

OTHER_SIDE = {"inputs": "outputs", "outputs": "inputs"}


def wrong_end(
    end: str,
    side: str,
    ported: Mapping[str, Any],
    unmade: Collection[str] = (),
    where: str = "",
) -> Iterator[SpecloomError]:
    """What is wrong if ``end``, as ``node.port``, is none of the ``side`` of a node.

    Args:
        end: The end as the user wrote it.
        side: ``inputs`` or ``outputs``.
        ported: What a connection can name: nodes, and ``batch`` where its ports are known.
        unmade: Nodes that could not be made, of which any port may be right.
        where: The place in the user's file.
    """
    node, _, port = end.partition(".")
    if node not in ported and node not in unmade:
        named = {*ported, *unmade}
        named.discard("batch")
        what = f"there is no node {node!r}"
        fix = did_you_mean(node, named, otherwise="add that node first")
        yield GraphError(what, where=where, fix=fix)
        return
    if node not in ported:
        return
    ports = getattr(ported[node], side)
    if port in ports:
        return
    other_side = OTHER_SIDE[side]
    what = f"{node} has no {side[:-1]} {port!r}"
    if port in getattr(ported[node], other_side):
        fix = f"{end} is an {other_side[:-1]}: a connection goes from an output to an input"
    else:
        fix = did_you_mean(port, ports, otherwise=f"{node} has no {side}")
    yield GraphError(what, where=where, fix=fix)
