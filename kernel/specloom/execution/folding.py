"""The steps of a plan, and how affine nodes are folded into the linear maps that read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom.contract.abilities import AffineNode

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch


@dataclass
class Step:
    """One call of a node's ``forward``.

    Args:
        name: The node's name.
        node: The node.
        forward: What is called; a folded node's is its ``forward_lazy``.
        incoming: By connected input, the values that come to it, as ``node.port``.
        single_inputs: The inputs that take one value, each with the name of that value.
        list_inputs: The inputs that take a list of values.
        outputs: The outputs that are read, each with the name of its value.
        last_reads: The values that nothing reads afterwards.
    """

    name: str
    node: Any
    forward: Callable[..., Batch]
    incoming: dict[str, list[str]]
    single_inputs: list[tuple[str, str]] = field(default_factory=list)
    list_inputs: list[str] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    last_reads: set[str] = field(default_factory=set)

    @property
    def reads(self) -> set[str]:
        """The values it needs, as ``node.port``."""
        found: set[str] = set()
        for ends in self.incoming.values():
            found.update(ends)
        return found


class Reader(NamedTuple):
    """A step that reads a value, and the input that it comes to."""

    step: Step
    port: str


def assign_lifetimes(steps: Sequence[Step], wanted: set[str]) -> set[str]:
    """Let each step keep only outputs that are read, and free values after their last reader.

    Returns:
        Every value that is read, or ``wanted``.
    """
    read = set(wanted)
    for step in steps:
        read |= step.reads
    read_later = set(wanted)
    for step in reversed(steps):
        step.list_inputs = _list_inputs(step)
        step.single_inputs = _single_inputs(step)
        step.outputs = _read_outputs(step, read)
        step.last_reads = step.reads - read_later
        read_later |= step.reads
    return read


def _list_inputs(step: Step) -> list[str]:
    """The connected inputs that take a list of values."""
    inputs = step.node.inputs
    return [port for port in step.incoming if inputs[port].many]


def _single_inputs(step: Step) -> list[tuple[str, str]]:
    """The connected inputs that take one value, each with the name of that value."""
    found = []
    for port, ends in step.incoming.items():
        if port not in step.list_inputs:
            found.append((port, ends[0]))
    return found


def _read_outputs(step: Step, read: set[str]) -> list[tuple[str, str]]:
    """The outputs that are among the values that are read, each with the name of its value."""
    found = []
    for port in step.node.outputs:
        end = f"{step.name}.{port}"
        if end in read:
            found.append((port, end))
    return found


def fold_into_readers(steps: Sequence[Step], wanted: set[str], lazy: set[str]) -> None:
    """Let affine nodes make a ``LazyAffine`` where every reader takes one.

    Args:
        steps: The steps, in running order.
        wanted: Values that must come out as they are.
        lazy: Wanted values that may come out as a ``LazyAffine``.
    """
    for step in reversed(steps):
        node = step.node
        if not isinstance(node, AffineNode) or not _is_plain(step):
            continue
        end = f"{step.name}.{node.affine_output}"
        readers = _readers(steps, end)
        is_useful = end in lazy
        if readers and end not in wanted:
            is_useful = True
        if is_useful and _all_absorb(readers):
            step.forward = node.forward_lazy


def _readers(steps: Sequence[Step], end: str) -> list[Reader]:
    """The steps that read a value, each with the port that it comes to."""
    found = []
    for step in steps:
        for port, ends in step.incoming.items():
            if end in ends:
                reader = Reader(step, port)
                found.append(reader)
    return found


def _all_absorb(readers: Sequence[Reader]) -> bool:
    """Whether every reader takes an affine map in by the port that it reads."""
    return all(_absorbs(reader) for reader in readers)


def _absorbs(reader: Reader) -> bool:
    """Whether the node takes an affine map in by this port."""
    affine_input = getattr(reader.step.node, "affine_input", "")
    return reader.port == affine_input and _is_plain(reader.step)


def _is_plain(step: Step) -> bool:
    """Whether the node is called as it is, not through another array library."""
    lazy = getattr(step.node, "forward_lazy", None)
    return step.forward in (step.node.forward, lazy)
