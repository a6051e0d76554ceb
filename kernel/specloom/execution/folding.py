"""The steps of a plan, and how nodes whose map readers can take over are folded into these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom.contract.abilities import AffineNode, LinearNode, MonotoneNode

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch


@dataclass
class Step:
    """One call of a node's ``forward``.

    Args:
        name: The node's name.
        node: The node.
        forward: What is called; a folded node's is its ``forward_lazy``.
        is_selective: Whether that makes only outputs that are read.
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
    is_selective: bool = False
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


class Form(IntFlag):
    """In which forms, other than its values, a value may come to its readers."""

    VALUES = 0
    AFFINE = 1
    """As a ``LazyAffine``."""
    LINEAR = 2
    """As a ``LazyLinear``."""
    MONOTONE = 4
    """As a ``LazyMonotone``."""


ANY_MAP = Form.AFFINE | Form.LINEAR
ANY_FORM = ANY_MAP | Form.MONOTONE


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
    """Let nodes leave their map to their readers, where every reader takes it.

    Args:
        steps: The steps, in running order.
        wanted: Values that are returned.
        lazy: The forms that those of them may be returned in.
    """
    folded: dict[str, Form] = {}
    for step in reversed(steps):
        form = _form_of_output(step)
        if form == Form.VALUES or not _is_plain(step):
            continue
        end = f"{step.name}.{_mapped_output(step, form)}"
        taken = [_taken_forms(reader, folded) for reader in _readers(steps, end)]
        if end in wanted:
            taken.append(lazy.get(end, Form.VALUES))
        accepted = _common_forms(taken)
        if form in accepted:
            step.forward = step.node.forward_lazy
            folded[step.name] = accepted & ANY_MAP


def select_outputs(steps: Iterable[Step]) -> None:
    """Let nodes that can leave out outputs make only those that are read."""
    for step in steps:
        if step.forward == step.node.forward and _leaves_out_outputs(step.node):
            step.forward = step.node.forward_for([port for port, _ in step.outputs])
            step.is_selective = True


def _leaves_out_outputs(node: Any) -> bool:
    """Whether a node has a ``forward_for`` that belongs to its ``forward``, not to one below it."""
    if "forward" in vars(node):
        return False
    for cls in type(node).__mro__:
        members = vars(cls)
        if "forward_for" in members:
            return True
        if "forward" in members:
            return False
    return False


def _form_of_output(step: Step) -> Form:
    """In which form the node can leave an output to its readers."""
    if isinstance(step.node, LinearNode):
        return Form.LINEAR
    if isinstance(step.node, AffineNode):
        return Form.AFFINE
    if isinstance(step.node, MonotoneNode):
        return Form.MONOTONE
    return Form.VALUES


def _mapped_output(step: Step, form: Form) -> str:
    """The output that the node can leave to its readers in a form."""
    names = {
        Form.LINEAR: "linear_output",
        Form.AFFINE: "affine_output",
        Form.MONOTONE: "monotone_output",
    }
    name: str = getattr(step.node, names[form])
    return name


def _common_forms(taken: Sequence[Form]) -> Form:
    """The forms that every reader takes; none without a reader."""
    if not taken:
        return Form.VALUES
    common = ANY_FORM
    for forms in taken:
        common &= forms
    return common


def _readers(steps: Sequence[Step], end: str) -> list[Reader]:
    """The steps that read a value, each with the port that it comes to."""
    found = []
    for step in steps:
        for port, ends in step.incoming.items():
            if end in ends:
                reader = Reader(step, port)
                found.append(reader)
    return found


def _taken_forms(reader: Reader, folded: Mapping[str, Form]) -> Form:
    """In which forms the node takes a value at this input.

    What a folded node takes, it passes on: its own readers must take that, too.
    """
    step = reader.step
    if not _is_plain(step):
        return Form.VALUES
    if reader.port == getattr(step.node, "linear_input", ""):
        return folded.get(step.name, ANY_MAP)
    if reader.port == getattr(step.node, "affine_input", ""):
        return Form.AFFINE
    if reader.port == getattr(step.node, "monotone_input", ""):
        return Form.MONOTONE
    return Form.VALUES


def _is_plain(step: Step) -> bool:
    """Whether the node is called as it is, not through another array library."""
    lazy = getattr(step.node, "forward_lazy", None)
    return step.forward in (step.node.forward, lazy)
