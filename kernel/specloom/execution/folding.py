"""The steps of a plan, and how affine and linear nodes are folded into the maps that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom.contract.abilities import AffineNode, LinearNode

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


class Form(IntEnum):
    """In which forms a value may come to its readers; a later one includes those before it."""

    VALUES = 0
    AFFINE = 1
    """As a ``LazyAffine``."""
    LINEAR = 2
    """As a ``LazyLinear``."""


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


def fold_into_readers(steps: Sequence[Step], wanted: set[str], lazy: Mapping[str, Form]) -> None:
    """Let affine and linear nodes leave their map to their readers, where every reader takes it.

    Args:
        steps: The steps, in running order.
        wanted: Values that are returned.
        lazy: The form of those of them that may be returned as a map.
    """
    folded: dict[str, Form] = {}
    for step in reversed(steps):
        form = _form_of_output(step)
        if form == Form.VALUES or not _is_plain(step):
            continue
        end = f"{step.name}.{_mapped_output(step)}"
        taken = [_taken_form(reader, folded) for reader in _readers(steps, end)]
        if end in wanted:
            taken.append(lazy.get(end, Form.VALUES))
        accepted = min(taken, default=Form.VALUES)
        if accepted >= form:
            step.forward = step.node.forward_lazy
            folded[step.name] = accepted


def _form_of_output(step: Step) -> Form:
    """In which form the node can leave an output to its readers."""
    if isinstance(step.node, LinearNode):
        return Form.LINEAR
    if isinstance(step.node, AffineNode):
        return Form.AFFINE
    return Form.VALUES


def _mapped_output(step: Step) -> str:
    """The output that the node can leave to its readers."""
    name: str
    if isinstance(step.node, LinearNode):
        name = step.node.linear_output
    else:
        name = step.node.affine_output
    return name


def _readers(steps: Sequence[Step], end: str) -> list[Reader]:
    """The steps that read a value, each with the port that it comes to."""
    found = []
    for step in steps:
        for port, ends in step.incoming.items():
            if end in ends:
                reader = Reader(step, port)
                found.append(reader)
    return found


def _taken_form(reader: Reader, folded: Mapping[str, Form]) -> Form:
    """In which form the node takes a value at this input.

    What a folded node takes, it passes on: its own readers must take that, too.
    """
    step = reader.step
    if not _is_plain(step):
        return Form.VALUES
    if reader.port == getattr(step.node, "linear_input", ""):
        return folded.get(step.name, Form.LINEAR)
    if reader.port == getattr(step.node, "affine_input", ""):
        return Form.AFFINE
    return Form.VALUES


def _is_plain(step: Step) -> bool:
    """Whether the node is called as it is, not through another array library."""
    lazy = getattr(step.node, "forward_lazy", None)
    return step.forward in (step.node.forward, lazy)
