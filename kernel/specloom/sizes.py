"""Sizes that propagate along connections, before any pixel is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from specloom import params
from specloom.errors import PortError, SpecloomError
from specloom.ports import Port, fixed_size

Axis: TypeAlias = tuple[str, str]
"""(node, axis name)."""


@dataclass(frozen=True)
class Link:
    """A connection: ``source`` and ``target`` are ``node.port``; ``where`` is its place."""

    source: str
    target: str
    where: str = ""


@dataclass(frozen=True)
class Known:
    """A size, and which fact it follows from."""

    size: int
    reason: str


class Unknown(Exception):  # noqa: N818  # a signal between build() and the graph, never shown
    """A node asked for a size that does not follow from the graph."""


class Sizes(dict[str, int]):
    """The known sizes of one node's axes; asking for another one raises ``Unknown``."""

    def __missing__(self, axis: str) -> int:
        raise Unknown(axis)


def propagate(
    nodes: Mapping[str, Any],
    links: Sequence[Link],
    ports: Callable[[str, str], Port],
    given: Mapping[str, int],
    place: Callable[[str, str], str],
) -> tuple[dict[Axis, Known], list[SpecloomError]]:
    """Every size that follows from the data's header, the parameters and the connections.

    Args:
        nodes: The nodes by name.
        links: The connections whose ends exist and fit but for their sizes.
        ports: The port behind ``node.port`` on the side ``inputs`` or ``outputs``.
        given: Sizes of the batch's axes, from the headers of the source.
        place: Where a node's parameter stands in the run file.
    """
    known = {("batch", axis): Known(size, "the data") for axis, size in given.items()}
    for name, node in nodes.items():
        for port in (*node.inputs.values(), *node.outputs.values()):
            for axis in port.names:
                if axis[0].islower() and (size := fixed_size(axis, node)) is not None:
                    reason = f"{axis}: {size} of {name}"
                    if stands := place(name, axis):
                        reason += f" ({stands})"
                    known.setdefault((name, axis), Known(size, reason))
    problems: dict[Link, SpecloomError] = {}
    changed = True
    while changed:
        changed = False
        for link in links:
            if link not in problems:
                changed |= _along(link, nodes, ports, known, problems, place)
        for name, node in nodes.items():
            changed |= _formulas(name, node, known)
    return known, list(problems.values())


def _along(
    link: Link,
    nodes: Mapping[str, Any],
    ports: Callable[[str, str], Port],
    known: dict[Axis, Known],
    problems: dict[Link, SpecloomError],
    place: Callable[[str, str], str],
) -> bool:
    changed = False
    a, b = ports(link.source, "outputs"), ports(link.target, "inputs")
    source, target = link.source, link.target
    front = max(len(a.names) - len(b.names), 0)
    for x, y in zip(a.names[front:], b.names, strict=False):
        sides = [(source.partition(".")[0], x), (target.partition(".")[0], y)]
        left, right = (
            Known(int(axis), f"the port says {axis}") if axis.isdigit() else known.get((node, axis))
            for node, axis in sides
        )
        if left and right and left.size != right.size:
            problems[link] = _conflict(link, x, y, left, right, nodes, place)
        elif left and not right:
            known[sides[1]], changed = left, True
        elif right and not left:
            known[sides[0]], changed = right, True
    return changed


def _conflict(
    link: Link,
    x: str,
    y: str,
    left: Known,
    right: Known,
    nodes: Mapping[str, Any],
    place: Callable[[str, str], str],
) -> SpecloomError:
    fix = f"make these agree: {left.reason}; {right.reason}"
    for end, axis, other in ((link.target, y, left), (link.source, x, right)):
        node = end.partition(".")[0]
        parameter = params.parameters(type(nodes[node])).get(axis) if node in nodes else None
        if parameter is not None and parameter.default is None and place(node, axis):
            fix = f"remove {axis} from {node} ({place(node, axis)}): it follows from the graph"
            fix += f" ({other.size})"
    return PortError(
        f"{link.source} has {x} = {left.size} ({left.reason}), "
        f"but {link.target} wants {y} = {right.size} ({right.reason})",
        where=link.where,
        fix=fix,
    )


def _formulas(name: str, node: Any, known: dict[Axis, Known]) -> bool:
    formula = getattr(type(node), "sizes", None)
    if formula is None:
        return False
    now = {axis: one.size for (owner, axis), one in known.items() if owner == name}
    made = formula({p: getattr(node, p) for p in params.parameters(type(node))}, now)
    new = {(name, axis): Known(size, f"{axis} of {name}") for axis, size in made.items()}
    fresh = {axis: one for axis, one in new.items() if axis not in known}
    known.update(fresh)
    return bool(fresh)
