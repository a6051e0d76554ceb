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

    @property
    def giver(self) -> str:
        """The node, or ``batch``, that the value comes from."""
        return self.source.partition(".")[0]

    @property
    def taker(self) -> str:
        """The node that the value goes to."""
        return self.target.partition(".")[0]


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
    flow = _Flow(nodes, ports, place)
    flow.known |= {("batch", axis): Known(size, "the data") for axis, size in given.items()}
    # Against the flow only where nothing more follows along it: so a conflict is told where a size
    # meets the parameter that disagrees with it, not at the other end of the graph.
    while any([flow.formula(name) for name in nodes] + [flow.along(link) for link in links]) or any(
        flow.along(link, backward=True) for link in links
    ):
        pass
    return flow.known, list(flow.problems.values())


class _Flow:
    def __init__(
        self,
        nodes: Mapping[str, Any],
        ports: Callable[[str, str], Port],
        place: Callable[[str, str], str],
    ) -> None:
        self.nodes, self.ports, self.place = nodes, ports, place
        self.known: dict[Axis, Known] = {}
        self.problems: dict[object, SpecloomError] = {}
        for name, node in nodes.items():
            for port in (*node.inputs.values(), *node.outputs.values()):
                for axis in port.names:
                    if axis[0].islower() and (size := fixed_size(axis, node)) is not None:
                        reason = f"{axis}: {size} of {name}"
                        if stands := place(name, axis):
                            reason += f" ({stands})"
                        self.known[name, axis] = Known(size, reason)

    def along(self, link: Link, *, backward: bool = False) -> bool:
        """Carry sizes along a connection, or against it; whether any is new."""
        changed = False
        names = self.ports(link.source, "outputs").names, self.ports(link.target, "inputs").names
        front = max(len(names[0]) - len(names[1]), 0)
        for x, y in zip(names[0][front:], names[1], strict=False):
            left, right = self._size(link.source, x), self._size(link.target, y)
            if left and right:
                if left.size != right.size and link not in self.problems:
                    self.problems[link] = self._conflict(link, (x, left), (y, right))
            elif left:
                self.known[link.target.partition(".")[0], y], changed = left, True
            elif right and backward:
                self.known[link.source.partition(".")[0], x], changed = right, True
        return changed

    def formula(self, name: str) -> bool:
        """Ask a node for the sizes that it computes; whether any is new."""
        node = self.nodes[name]
        now = {axis: one.size for (owner, axis), one in self.known.items() if owner == name}
        try:
            given = {parameter: getattr(node, parameter) for parameter in _parameters(node)}
            made = node.sizes(given, Sizes(now)) if hasattr(node, "sizes") else {}
        except Unknown:
            return False
        except SpecloomError as e:
            self.problems[name] = type(e)(e.what, where=e.where or self.place(name, ""), fix=e.fix)
            return False
        fresh = {a: Known(n, f"{a} of {name}") for a, n in made.items() if a not in now}
        self.known |= {(name, axis): one for axis, one in fresh.items()}
        return bool(fresh)

    def _size(self, end: str, axis: str) -> Known | None:
        if axis.isdigit():
            return Known(int(axis), f"{axis} of {end}")
        return self.known.get((end.partition(".")[0], axis))

    def _conflict(
        self, link: Link, source: tuple[str, Known], target: tuple[str, Known]
    ) -> SpecloomError:
        (x, left), (y, right) = source, target
        fix = f"make these agree: {left.reason}; {right.reason}"
        for end, axis, other in ((link.target, y, left), (link.source, x, right)):
            name = end.partition(".")[0]
            parameter = _parameters(self.nodes[name]).get(axis) if name in self.nodes else None
            if parameter and parameter.default is None and (stands := self.place(name, axis)):
                fix = f"remove {axis} from {name} ({stands}): it follows from the graph"
                fix += f" ({other.size})"
        return PortError(
            f"{link.source} has {_said(x, left)}, but {link.target} wants {_said(y, right)}",
            where=link.where,
            fix=fix,
        )


def _parameters(node: Any) -> Mapping[str, Any]:
    return params.parameters(type(node))


def _said(axis: str, one: Known) -> str:
    return f"an axis of {axis}" if axis.isdigit() else f"{axis} = {one.size} ({one.reason})"
