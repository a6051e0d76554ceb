"""The steps of a plan, and how affine nodes are folded into the linear maps behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom.contract.abilities import AffineNode

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch


@dataclass
class Step:
    """One call: a node's ``forward``, where its inputs come from and where its outputs go."""

    name: str
    node: Any
    forward: Callable[..., Batch]
    feeds: dict[str, list[str]]
    many: list[str] = field(default_factory=list)
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
        step.many = [port for port in step.feeds if step.node.inputs[port].many]
        named = ((port, f"{step.name}.{port}") for port in step.node.outputs)
        step.gives = [(port, end) for port, end in named if end in read]
        step.frees = step.reads - later
        later |= step.reads
    return read


def fold_into_readers(steps: list[Step], keep: set[str], lazy: set[str]) -> None:
    """Let affine nodes give a ``LazyAffine`` where all readers take it, ``keep`` apart."""
    for step in reversed(steps):
        end = f"{step.name}.{getattr(step.node, 'affine_output', '')}"
        readers = _readers(steps, end)
        takes = all(_absorbs(reader, port) for reader, port in readers)
        wanted = end in lazy or (readers and end not in keep)
        if isinstance(step.node, AffineNode) and _plain(step) and takes and wanted:
            step.forward = step.node.forward_lazy


def _readers(steps: list[Step], end: str) -> list[tuple[Step, str]]:
    """The steps that read a value, each with the port that it comes to."""
    found = []
    for step in steps:
        found += [(step, port) for port, ends in step.feeds.items() if end in ends]
    return found


def _absorbs(step: Step, port: str) -> bool:
    """Whether the node takes an affine map in by this port."""
    return port == getattr(step.node, "affine_input", "") and _plain(step)


def _plain(step: Step) -> bool:
    """Whether the node is called as it is, not through another array library."""
    return step.forward in (step.node.forward, getattr(step.node, "forward_lazy", None))
