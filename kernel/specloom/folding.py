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
    """One call: a node's ``forward``, where its inputs come from and where its outputs go."""

    name: str
    node: Any
    forward: Forward
    feeds: dict[str, list[str]]
    takes: list[tuple[str, str]] = field(default_factory=list)
    gathers: list[tuple[str, list[str]]] = field(default_factory=list)
    gives: list[tuple[str, str]] = field(default_factory=list)
    frees: set[str] = field(default_factory=set)

    @property
    def reads(self) -> set[str]:
        """The values it needs, as ``node.port``."""
        return {end for ends in self.feeds.values() for end in ends}


def arrange(steps: list[Step], keep: set[str]) -> set[str]:
    """Let each step give the values that are read, and free them after their last reader.

    Returns:
        Every value that is read, or in ``keep``.
    """
    read, later = keep.union(*(step.reads for step in steps)), set(keep)
    for step in reversed(steps):
        many = {port for port in step.feeds if step.node.inputs[port].many}
        step.takes = [(port, ends[0]) for port, ends in step.feeds.items() if port not in many]
        step.gathers = [(port, step.feeds[port]) for port in many]
        named = ((port, f"{step.name}.{port}") for port in step.node.outputs)
        step.gives = [(port, end) for port, end in named if end in read]
        step.frees = step.reads - later
        later |= step.reads
    return read


def folded(steps: list[Step], want: set[str], port: Callable[[str], Port]) -> list[Step]:
    """Steps without the affine nodes that the step behind them can take in."""
    kept = {step.name: step for step in steps}
    for step in reversed(steps):
        ends = {f"{step.name}.{name}" for name in step.node.outputs}
        fed = [read for p, read in step.feeds.items() if step.node.inputs[p].required]
        readers = [(s, p) for s in kept.values() for p, read in s.feeds.items() if ends & {*read}]
        if not len(ends) == len(fed) == len(readers) == 1 or ends & want:
            continue
        ((reader, reads),), (source,) = readers, fed
        forward = _absorbed(step, reader, reads)
        if forward and reader.node.inputs[reads].takes_dtype(port(source[0]).dtype):
            reader.forward, reader.feeds = forward, {**reader.feeds, reads: source}
            del kept[step.name]
    return list(kept.values())


def _absorbed(step: Step, reader: Step, reads: str) -> Forward | None:
    """The reader's ``forward`` with an affine step taken in, or None where that cannot be."""
    node, taker = step.node, reader.node
    if not isinstance(node, Affine) or not isinstance(taker, Absorbs) or reads != taker.absorbs:
        return None
    if step.forward != step.node.forward or reader.forward != reader.node.forward:
        return None  # a NumPy node, or one that has taken in the nearer of two affine nodes
    affine = node.affine()
    return None if affine is None else taker.absorb(*affine)
