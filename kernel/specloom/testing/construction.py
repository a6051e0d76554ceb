"""What is checked of a node before it runs: its parameters, its ports and its methods."""

from __future__ import annotations

import ast
import inspect
import keyword
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, get_type_hints

import numpy as np
import torch
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from specloom.contract.abilities import (
    AffineNode,
    Fittable,
    LinearNode,
    Loss,
    MergeableMetric,
    Metric,
    MonotoneNode,
    Stateful,
    Trainable,
)
from specloom.contract.errors import SpecloomWarning
from specloom.contract.nodes import STAGES
from specloom.contract.ports import Port
from specloom.graph.port_attributes import PortAttribute, PortDeclaration, declared_ports
from specloom.testing.comparing import hold
from specloom.testing.driving import needs_fit
from specloom.testing.making import built, example, fitted, parameters, params_of

LOCALITIES = ("pixel", "halo", "image", "batch")
MEMBERS = {
    Fittable: ("fit_start", "fit_update", "fit_state", "fit_merge", "fit_end"),
    Stateful: ("state", "restore"),
    Trainable: ("unfreeze", "freeze"),
    Metric: ("measure_start", "measure_end"),
    MergeableMetric: ("measure_state", "measure_merge"),
    AffineNode: ("affine_output",),
    LinearNode: ("linear_output",),
    MonotoneNode: ("monotone_output",),
    Loss: ("pooled",),
}


def init_only_stores(cls: Any) -> None:
    """``__init__`` keeps each argument, unchanged, under its own name, and allocates nothing.

    A graph saves a node as its parameters, and makes it before any size is known.
    """
    example(cls)
    arguments = params_of(cls)
    node = cls.__new__(cls)
    node.__init__(**arguments)
    known = parameters(cls)
    for name, parameter in known.items():
        what = f"__init__ takes {parameter}, which would swallow a misspelt parameter"
        hold(not _takes_any_name(parameter), cls, what)
        want = arguments.get(name, parameter.default)
        got = getattr(node, name, parameter.empty)
        what = f"self.{name} is {got!r}, but the argument {name!r} was {want!r}"
        hold(_is_same(got, want), cls, what)
    for name, value in _members(node):
        if isinstance(value, np.ndarray | torch.Tensor | torch.nn.Module):
            hold(name in known, cls, f"__init__ makes {name!r}; build should")


def params_are_annotated(cls: Any) -> None:
    """Each parameter has a type that pydantic knows, and its default is of that type.

    A run file's values are checked against these types; ``python_only`` are not in a run file.
    """
    arguments = params_of(cls)
    try:
        hints = get_type_hints(cls.__init__)
    except NameError as error:
        what = f"a type of __init__ is not imported: {error}"
        raise AssertionError(f"{cls.__name__}: {what}") from error
    python_only = getattr(cls, "python_only", ())
    for name, parameter in parameters(cls).items():
        if name in python_only:
            continue
        hold(name in hints, cls, f"the parameter {name!r} has no type")
        values = []
        if parameter.default is not parameter.empty:
            values.append(parameter.default)
        if name in arguments:
            values.append(arguments[name])
        _check_type(cls, name, hints[name], values)


def ports_are_documented(cls: Any) -> None:
    """Each port has a name that Python can write, a sentence of documentation and known axes.

    Ports are what a user sees of a node; ``specloom nodes`` prints them.
    """
    axes = set(parameters(cls)) | set(vars(example(cls)))
    for side in ("inputs", "outputs"):
        for name, port in getattr(cls, side, {}).items():
            hold(isinstance(port, Port), cls, f"{side} {name!r} is no Port")
            is_name = name.isidentifier() and not keyword.iskeyword(name)
            hold(is_name, cls, f"the port name {name!r} is no identifier")
            hold(port.doc.strip(), cls, f"the port {name!r} has no doc")
            for axis in port.names:
                is_free = not axis[0].islower()
                exists = is_free or axis in axes or hasattr(cls, axis)
                hold(exists, cls, f"the port {name!r} has the axis {axis}, which is no parameter")
    hold(cls.outputs or cls.inputs, cls, "it has no ports")


def ports_shadow_nothing(cls: Any) -> None:
    """No port has the name of a parameter, buffer, attribute or method of the node.

    ``node.scores`` is the port, so nothing else can be reached under that name.
    """
    ports = {*cls.inputs, *cls.outputs}
    taken = set(parameters(cls))
    taken.update(name for name, _ in _members(fitted(cls)))
    for owner in cls.__mro__:
        for name, value in vars(owner).items():
            if not isinstance(value, PortAttribute | PortDeclaration):
                taken.add(name)
        taken.update(_written_in(owner))
    shared = sorted(ports & taken)
    hold(not shared, cls, f"ports have names of its members: {shared}")


def ports_are_descriptors(cls: Any) -> None:
    """Ports are declared by ``Input`` and ``Output``; of dictionaries it only warns.

    Dictionaries work, but type checkers and editors cannot see ports in them.
    """
    others = {*cls.inputs, *cls.outputs}
    for base in cls.__mro__:
        others.difference_update(port.name for port in declared_ports(base).values())
    if others:
        what = f"{cls.__name__} declares ports in dictionaries: {', '.join(sorted(others))}"
        fix = 'write a line for each, such as data = Input("B H W C")'
        warnings.warn(f"{what}: {fix}", SpecloomWarning, stacklevel=1)


def forward_matches_ports(cls: Any) -> None:
    """``forward`` (and ``fit_update``) take exactly the input ports, by name.

    Ports that may be absent default to None, and nothing swallows a misspelt name.
    """
    _check_arguments(cls, "forward")
    if needs_fit(example(cls)):
        _check_arguments(cls, "fit_update")


def protocols_are_whole(cls: Any) -> None:
    """A node that has one method of a protocol has all its members.

    The kernel looks for whole protocols: with one method missing or misspelt it would see none.
    """
    node = built(cls)
    for protocol, names in MEMBERS.items():
        present = [name for name in names if hasattr(node, name)]
        if present:
            is_whole = isinstance(node, protocol)
            hold(is_whole, cls, f"it has {present} but is not all of {protocol.__name__}")
    if hasattr(node, "forward_lazy"):
        names_output = isinstance(node, AffineNode | LinearNode | MonotoneNode)
        what = "it has forward_lazy, but no affine_output, linear_output or monotone_output"
        hold(names_output, cls, what)
    if any(port.per_stage for port in cls.outputs.values()):
        hold(isinstance(node, Metric), cls, "it has per_stage outputs, no measure_end")


def locality_is_declared(cls: Any) -> None:
    """A node that takes images declares what an output pixel depends on.

    Only then can the executor tile a scene that is larger than memory.
    """
    node = example(cls)
    locality = getattr(node, "locality", None)
    hold(locality in LOCALITIES, cls, f"its locality is {locality!r}, not one of {LOCALITIES}")
    if locality == "halo":
        halo = getattr(node, "halo", None)
        hold(isinstance(halo, int), cls, "its locality is 'halo' without a halo")
    unknown = set(getattr(node, "stages", ())) - set(STAGES)
    hold(not unknown, cls, f"it runs in stages that do not exist: {unknown}")


def valid_is_offered(cls: Any) -> None:
    """A node that learns from pixels has an optional input ``valid``.

    Data with dead or unlabelled pixels would otherwise be learned from.
    """
    port = cls.inputs.get("valid")
    is_mask = port is not None and port.optional and port.dtype == "bool"
    hold(is_mask, cls, "it has no optional bool input 'valid'")


def _takes_any_name(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)


def _is_same(got: Any, want: Any) -> bool:
    """Whether a stored argument is the one that was passed, or equals it."""
    if got is want:
        return True
    return type(got) is type(want) and bool(got == want)


def _check_type(cls: Any, name: str, hint: Any, values: Iterable[Any]) -> None:
    """Values of a parameter are of its type, and pydantic knows the type."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        for value in values:
            adapter.validate_python(value)
    except (PydanticUserError, ValidationError) as error:
        what = f"the parameter {name!r} ({hint}) cannot be checked: {error}"
        raise AssertionError(f"{cls.__name__}: {what}") from error


def _check_arguments(cls: Any, method: str) -> None:
    """A method takes exactly the input ports, with the default None where one may be absent."""
    parameters = list(inspect.signature(getattr(cls, method)).parameters.values())
    arguments = parameters[1:]  # without ``self``
    for argument in arguments:
        what = f"{method} takes {argument}, which would swallow a wrong name"
        hold(not _takes_any_name(argument), cls, what)
    names = [argument.name for argument in arguments]
    hold(set(names) == set(cls.inputs), cls, f"{method} takes {names}, not {list(cls.inputs)}")
    for argument in arguments:
        name = argument.name
        port = cls.inputs[name]
        may_be_absent = port.optional or (port.for_fit and method == "forward")
        if may_be_absent:
            is_none = argument.default is None
            hold(is_none, cls, f"{method} should have {name}=None, which may be absent")
        elif port.required:
            is_required = argument.default is argument.empty
            hold(is_required, cls, f"{method} has a default for {name}, a required input")


def _members(node: Any) -> Iterator[tuple[str, Any]]:
    """Attributes of the instance, with the buffers, parameters and modules of torch's."""
    for name, value in vars(node).items():
        if name in ("_buffers", "_parameters", "_modules"):
            yield from value.items()
        else:
            yield name, value


def _written_in(cls: Any) -> Iterator[str]:
    """Names of methods and attributes in the class body; a port of that name replaced them."""
    if not {"inputs", "outputs"} & vars(cls).keys():
        return
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return
    definition = tree.body[0]
    if not isinstance(definition, ast.ClassDef):
        return
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef):
            yield statement.name
            continue
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign) and not _declares_port(statement.value):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id


def _declares_port(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("Input", "Output")
