"""Sizes that propagate along connections, before any pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom.errors import PortError, SpecloomError
from specloom.params import parameters
from specloom.ports import fixed_size

if TYPE_CHECKING:
    from specloom.wiring import Wiring


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


class Known(NamedTuple):
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
    wiring: Wiring, given: Mapping[str, int]
) -> tuple[dict[str, dict[str, Known]], list[SpecloomError]]:
    """Every size that follows from the data's header, the parameters and the connections.

    Args:
        wiring: Nodes, and connections whose ends exist and fit but for their sizes.
        given: Sizes of the batch's axes, from the headers of the source.

    Returns:
        The sizes by node (or ``batch``) and axis, and what is wrong with them.
    """
    flow = _Flow(wiring, given)
    nodes, links = wiring.nodes, wiring.links
    # Against the flow only where nothing more follows along it: so a conflict is told where a size
    # meets the parameter that disagrees with it, not at the other end of the graph.
    while any([flow.formula(name) for name in nodes] + [flow.along(link) for link in links]) or any(
        flow.along(link, backward=True) for link in links
    ):
        pass
    return flow.known, list(flow.problems.values())


class _Flow:
    def __init__(self, wiring: Wiring, given: Mapping[str, int]) -> None:
        self.wiring, self.problems = wiring, dict[object, SpecloomError]()
        self.known = {name: self._own(name, one) for name, one in wiring.ported.items()}
        self.known["batch"] = {axis: Known(size, "the data") for axis, size in given.items()}

    def along(self, link: Link, *, backward: bool = False) -> bool:
        """Carry sizes along a connection, or against it; whether any is new."""
        changed = False
        source, target = (port.names for port in self.wiring.ends(link))
        for x, y in zip(source[max(len(source) - len(target), 0) :], target, strict=False):
            left, right = self._size(link.source, x), self._size(link.target, y)
            if left and right:
                if left.size != right.size and link not in self.problems:
                    self.problems[link] = self._conflict(link, (x, left), (y, right))
            elif left:
                self.known[link.taker][y], changed = left, True
            elif right and backward:
                self.known[link.giver][x], changed = right, True
        return changed

    def formula(self, name: str) -> bool:
        """Ask a node for the sizes that it computes; whether any is new."""
        node, known = self.wiring.nodes[name], self.known[name]
        if not hasattr(node, "sizes"):
            return False
        try:
            now = Sizes({axis: one.size for axis, one in known.items()})
            made = node.sizes({key: getattr(node, key) for key in parameters(type(node))}, now)
        except Unknown:
            return False
        except SpecloomError as e:
            where = e.where or self.wiring.where("nodes", name)
            self.problems[name] = type(e)(e.what, where=where, fix=e.fix)
            return False
        fresh = {a: Known(size, f"{a} of {name}") for a, size in made.items() if a not in known}
        known |= fresh
        return bool(fresh)

    def _own(self, name: str, node: Any) -> dict[str, Known]:
        """The sizes that a node's own parameters give."""
        found = {}
        ports = (*node.inputs.values(), *node.outputs.values())
        for axis in {axis for port in ports for axis in port.names if not axis.isdigit()}:
            if (size := fixed_size(axis, node)) is not None:
                place = self._place(name, axis)
                reason = f"{axis}: {size} of {name}" + (f" ({place})" if place else "")
                found[axis] = Known(size, reason)
        return found

    def _place(self, name: str, parameter: str) -> str:
        return self.wiring.document.places.get(("nodes", name, "config", parameter), "")

    def _size(self, end: str, axis: str) -> Known | None:
        if axis.isdigit():
            return Known(int(axis), f"{axis} of {end}")
        return self.known[end.partition(".")[0]].get(axis)

    def _conflict(
        self, link: Link, source: tuple[str, Known], target: tuple[str, Known]
    ) -> SpecloomError:
        (x, left), (y, right) = source, target
        fix = f"make these agree: {left.reason}; {right.reason}"
        for name, axis, other in ((link.taker, y, left), (link.giver, x, right)):
            parameter = parameters(type(self.wiring.ported[name])).get(axis)
            if parameter and parameter.default is None and (place := self._place(name, axis)):
                fix = f"remove {axis} from {name} ({place}): it follows from the graph"
                fix += f" ({other.size})"
        what = f"{link.source} has {_said(x, left)}, but {link.target} wants {_said(y, right)}"
        return PortError(what, where=link.where, fix=fix)


def _said(axis: str, one: Known) -> str:
    return f"an axis of {axis}" if axis.isdigit() else f"{axis} = {one.size} ({one.reason})"
