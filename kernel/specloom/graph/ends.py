"""The ends of connections, written as ``node.port``: what is wrong with one."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from specloom.contract.errors import GraphError, SpecloomError, did_you_mean


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
        named = [name for name in (*ported, *unmade) if name != "batch"]
        fix = did_you_mean(node, named, otherwise="add that node first")
        yield GraphError(f"there is no node {node!r}", where=where, fix=fix)
        return
    if node not in ported:
        return
    sides = {"inputs": ported[node].inputs, "outputs": ported[node].outputs}
    if port in sides[side]:
        return
    fix = did_you_mean(port, sides[side], otherwise=f"{node} has no {side}")
    if port in {*sides["inputs"], *sides["outputs"]}:
        other = "input" if side == "outputs" else "output"
        fix = f"{end} is an {other}: a connection goes from an output to an input"
    yield GraphError(f"{node} has no {side[:-1]} {port!r}", where=where, fix=fix)
