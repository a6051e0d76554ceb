"""Connections that an input needs beside another one: of what else the same node puts out.

Data that were multiplied by weights can only be used together with these weights. An input
declares this (``companion_of``, ``companion_output``), and where a user has not connected it, the
graph connects it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specloom.contract.errors import GraphError
from specloom.contract.ports import Connection, Port, mismatch, node_of


def companion_connections(
    nodes: Mapping[str, Any],
    written: Sequence[Connection],
) -> Iterator[Connection]:
    """Yield the connections to add, each at the place of the one that it belongs to.

    Args:
        nodes: The nodes by name.
        written: The connections as the user wrote them.
    """
    by_target = {connection.target: connection for connection in written}
    for name, node in nodes.items():
        for port, spec in node.inputs.items():
            target = f"{name}.{port}"
            main = by_target.get(f"{name}.{spec.companion_of}")
            if not spec.companion_of or main is None or target in by_target:
                continue
            output = _offered(nodes, main, spec)
            if output is not None and not mismatch(output, spec):
                source = f"{node_of(main.source)}.{spec.companion_output}"
                yield main._replace(source=source, target=target)


def companion_note(added: Connection) -> GraphError:
    """What to report of a connection that was added."""
    what = f"added {added.source} → {added.target}: the values belong together"
    fix = f"write - [{added.source}, {added.target}], or companions: off for a graph without it"
    return GraphError(what, where=added.where, fix=fix)


def _offered(nodes: Mapping[str, Any], main: Connection, spec: Port) -> Port | None:
    """The output that belongs to an input, of the node that the main connection comes from."""
    source = nodes.get(node_of(main.source))
    outputs: Mapping[str, Port] = getattr(source, "outputs", {})
    return outputs.get(spec.companion_output)
