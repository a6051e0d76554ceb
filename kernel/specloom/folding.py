"""The steps of a plan, and how affine nodes are folded into the linear map behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.node import Absorbs, Affine, Batch

if TYPE_CHECKING:
    from specloom.ports import Port

Forward: TypeAlias = Callable[..., Batch]


@dataclass
class Step:
    """One call: a node's ``forward``, and the slots of its inputs and outputs."""

    name: str
    node: Any
    forward: Forward
    feeds: dict[str, list[str]]
    takes: list[tuple[str, int]] = field(default_factory=list)
    gathers: list[tuple[str, list[int]]] = field(default_factory=list)
    gives: list[tuple[str, int]] = field(default_factory=list)
    frees: list[int] = field(default_factory=list)

    @property
    def reads(self) -> set[str]:
        """The values it needs, as ``node.port``."""
        return {end for ends in self.feeds.values() for end in ends}


def folded(steps: list[Step], want: set[str], port: Callable[[str], Port]) -> list[Step]:
    """Steps without the affine nodes that the step behind them can take in."""
    kept = {step.name: step for step in steps}
    taken: set[str] = set()
    for step in reversed(steps):
        node: Any = step.node
        if not isinstance(node, Affine) or len(step.feeds) != 1 or len(step.node.outputs) != 1:
            continue
        end = f"{step.name}.{next(iter(step.node.outputs))}"
        readers = [(s, p) for s in kept.values() for p, ends in s.feeds.items() if end in ends]
        if len(readers) != 1 or end in want or (affine := node.affine()) is None:
            continue
        ((reader, reads),) = readers
        taker: Any = reader.node
        plain = reader.name not in taken  # two affine nodes in a row: only the nearer one
        plain &= not any(getattr(one, "array_library", "") == "numpy" for one in (node, taker))
        if isinstance(taker, Absorbs) and reads == taker.absorbs and plain:
            (source,) = step.feeds.values()
            forward = taker.absorb(*affine)
            if forward is not None and reader.node.inputs[reads].takes_dtype(port(source[0]).dtype):
                reader.forward, reader.feeds = forward, {**reader.feeds, reads: source}
                del kept[step.name]
                taken.add(reader.name)
    return list(kept.values())
