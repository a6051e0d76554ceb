"""Sizes that propagate along connections, before any pixel is read."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from specloom.contract.errors import PortError, SpecloomError
from specloom.contract.ports import Connection, fixed_size
from specloom.graph.connections import BATCH, Wiring
from specloom.runfile.parameters import parameters


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


class Propagation:
    """Every size that follows from the data's header, the parameters and the connections.

    Args:
        wiring: Nodes, and connections whose ends exist and fit but for their sizes.
        given: Sizes of the batch's axes, from the headers of the source.
    """

    def __init__(self, wiring: Wiring, given: Mapping[str, int]) -> None:
        self.wiring, self.problems = wiring, dict[object, SpecloomError]()
        #: The sizes by node (or ``batch``) and axis.
        self.known = {name: self._own(name, one) for name, one in wiring.ported.items()}
        self.known[BATCH] = {axis: Known(size, "the data") for axis, size in given.items()}
        # Against the flow only where nothing more follows along it: so a conflict is told where a
        # size meets the parameter that disagrees with it, not at the other end of the graph.
        while self._onward() or any(self._along(link, backward=True) for link in wiring.links):
            pass

    def _onward(self) -> bool:
        """Carry sizes through every node and along every connection; whether any is new."""
        return any([*map(self._formula, self.wiring.nodes), *map(self._along, self.wiring.links)])

    def _along(self, link: Connection, *, backward: bool = False) -> bool:
        """Carry sizes along a connection, or against it where ``backward``; whether any is new."""
        changed = False
        source, target = (port.names for port in self.wiring.ends(link))
        for x, y in zip(source[max(len(source) - len(target), 0) :], target, strict=False):
            left, right = self._size(link.source, x), self._size(link.target, y)
            if left and right:
                if left.size != right.size and link not in self.problems:
                    self.problems[link] = self._conflict(link, x, left, y, right)
            elif left:
                self.known[link.target_node][y], changed = left, True
            elif right and backward:
                self.known[link.source_node][x], changed = right, True
        return changed

    def _formula(self, name: str) -> bool:
        """Ask a node for the sizes that it computes; whether any is new."""
        node, known, made = self.wiring.nodes[name], self.known[name], dict[str, int]()
        try:
            if hasattr(node, "sizes"):
                now = Sizes({axis: one.size for axis, one in known.items()})
                made = node.sizes({key: getattr(node, key) for key in parameters(type(node))}, now)
        except Unknown:
            pass
        except Exception as e:
            self.problems[name] = self.wiring.told(e, name)
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
        self, link: Connection, x: str, left: Known, y: str, right: Known
    ) -> SpecloomError:
        fix = f"make these agree: {left.reason}; {right.reason}"
        for name, axis, other in ((link.target_node, y, left), (link.source_node, x, right)):
            parameter = parameters(type(self.wiring.ported[name])).get(axis)
            if parameter and parameter.default is None and (at := self._place(name, axis)):
                fix = f"remove {axis} from {name} ({at}): it follows from the graph ({other.size})"
        what = f"{link.source} has {_said(x, left)}, but {link.target} wants {_said(y, right)}"
        return PortError(what, where=link.where, fix=fix)


def _said(axis: str, one: Known) -> str:
    return f"an axis of {axis}" if axis.isdigit() else f"{axis} = {one.size} ({one.reason})"
