"""What can be said of a node before it runs: its parameters, its ports and its methods."""

from __future__ import annotations

import ast
import inspect
import keyword
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any, get_type_hints

import numpy as np
import torch
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from specloom.contract.abilities import (
    AffineNode,
    Fittable,
    Loss,
    MergeableMetric,
    Metric,
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
    AffineNode: ("affine_output", "forward_lazy"),
    Loss: ("pooled",),
}


def init_only_stores(cls: Any) -> None:
    """``__init__`` keeps each argument, unchanged, under its own name, and allocates nothing.

    A graph saves a node as its parameters, and makes it before any size is known.
    """
    example(cls)
    given, node = params_of(cls), cls.__new__(cls)
    node.__init__(**given)
    for name, parameter in parameters(cls).items():
        loose = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        hold(
            not loose, cls, f"__init__ takes {parameter}, which would swallow a misspelt parameter"
        )
        want = given.get(name, parameter.default)
        got = getattr(node, name, parameter.empty)
        same = got is want or (type(got) is type(want) and bool(got == want))
        hold(same, cls, f"self.{name} is {got!r}, but the argument {name!r} was {want!r}")
    for name, value in _members(node):
        array = isinstance(value, np.ndarray | torch.Tensor | torch.nn.Module)
        hold(not array or name in parameters(cls), cls, f"__init__ makes {name!r}; build should")


def params_are_annotated(cls: Any) -> None:
    """Each parameter has a type that pydantic knows, and its default is of that type.

    A run file's values are checked against these types; ``python_only`` are not in a run file.
    """
    given = params_of(cls)
    try:
        hints = get_type_hints(cls.__init__)
    except NameError as error:
        raise AssertionError(
            f"{cls.__name__}: a type of __init__ is not imported: {error}"
        ) from error
    for name in parameters(cls).keys() - set(getattr(cls, "python_only", ())):
        parameter = parameters(cls)[name]
        hold(name in hints, cls, f"the parameter {name!r} has no type")
        default = [] if parameter.default is parameter.empty else [parameter.default]
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(hints[name])
            for value in default + ([given[name]] if name in given else []):
                adapter.validate_python(value)
        except (PydanticUserError, ValidationError) as error:
            text = f"the parameter {name!r} ({hints[name]}) cannot be checked: {error}"
            raise AssertionError(f"{cls.__name__}: {text}") from error


def ports_are_told(cls: Any) -> None:
    """Each port has a name that Python can write, a sentence of documentation and known axes.

    Ports are what a user sees of a node; ``specloom nodes`` prints them.
    """
    axes = set(parameters(cls)) | set(vars(example(cls)))
    for side in ("inputs", "outputs"):
        for name, port in getattr(cls, side, {}).items():
            hold(isinstance(port, Port), cls, f"{side} {name!r} is no Port")
            good = name.isidentifier() and not keyword.iskeyword(name)
            hold(good, cls, f"the port name {name!r} is no identifier")
            hold(port.doc.strip(), cls, f"the port {name!r} has no doc")
            for axis in port.names:
                known = not axis[0].islower() or axis in axes or hasattr(cls, axis)
                hold(known, cls, f"the port {name!r} has the axis {axis}, which is no parameter")
    hold(cls.outputs or cls.inputs, cls, "it has no ports")


def ports_shadow_nothing(cls: Any) -> None:
    """No port has the name of a parameter, buffer, attribute or method of the node.

    ``node.scores`` is the port, so nothing else can be reached under that name.
    """
    ports = {*cls.inputs, *cls.outputs}
    taken = set(parameters(cls)) | {name for name, _ in _members(fitted(cls))}
    for owner in cls.__mro__:
        ported = (PortAttribute, PortDeclaration)
        taken |= {k for k, v in vars(owner).items() if not isinstance(v, ported)}
        taken |= set(_written_in(owner))
    hold(not ports & taken, cls, f"ports have names of its members: {sorted(ports & taken)}")


def ports_are_descriptors(cls: Any) -> None:
    """Ports are declared by ``Input`` and ``Output``; of dictionaries it only warns.

    Dictionaries work, but type checkers and editors cannot see ports in them.
    """
    declared = {port.name for base in cls.__mro__ for port in declared_ports(base).values()}
    others = sorted({*cls.inputs, *cls.outputs} - declared)
    if others:
        what = f"{cls.__name__} declares ports in dictionaries: {', '.join(others)}"
        fix = 'write a line for each, such as data = Input("B H W C")'
        warnings.warn(f"{what}: {fix}", SpecloomWarning, stacklevel=1)


def forward_matches_ports(cls: Any) -> None:
    """``forward`` (and ``fit_update``) take exactly the input ports, by name.

    Ports that may be absent default to None, and nothing swallows a misspelt name.
    """
    methods = ["forward"] + (["fit_update"] if needs_fit(example(cls)) else [])
    for method in methods:
        _, *params = inspect.signature(getattr(cls, method)).parameters.values()
        for parameter in params:
            loose = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            hold(not loose, cls, f"{method} takes {parameter}, which would swallow a wrong name")
        names = [parameter.name for parameter in params]
        hold(set(names) == set(cls.inputs), cls, f"{method} takes {names}, not {list(cls.inputs)}")
        for parameter in params:
            port = cls.inputs[parameter.name]
            if port.optional or (port.for_fit and method == "forward"):
                none = parameter.default is None
                hold(none, cls, f"{method} should have {parameter.name}=None, which may be absent")
            elif port.required:
                given = parameter.default is parameter.empty
                hold(given, cls, f"{method} has a default for {parameter.name}, a required input")


def protocols_are_whole(cls: Any) -> None:
    """A node that has one method of a protocol has all its members.

    The kernel looks for whole protocols: with one method missing or misspelt it would see none.
    """
    node = built(cls)
    for protocol, names in MEMBERS.items():
        some = [name for name in names if hasattr(node, name)]
        whole = isinstance(node, protocol)
        hold(not some or whole, cls, f"it has {some} but is not all of {protocol.__name__}")
    stages = [p for p in cls.outputs.values() if p.per_stage]
    hold(not stages or isinstance(node, Metric), cls, "it has per_stage outputs, no measure_end")


def locality_is_told(cls: Any) -> None:
    """A node that takes images says what an output pixel depends on.

    Only then can the executor tile a scene that is larger than memory.
    """
    node = example(cls)
    locality = getattr(node, "locality", None)
    hold(locality in LOCALITIES, cls, f"its locality is {locality!r}, not one of {LOCALITIES}")
    halo = getattr(node, "halo", None)
    hold(locality != "halo" or isinstance(halo, int), cls, "its locality is 'halo' without a halo")
    stages = set(getattr(node, "stages", ()))
    hold(stages <= set(STAGES), cls, f"it runs in stages that do not exist: {stages - set(STAGES)}")


def valid_is_offered(cls: Any) -> None:
    """A node that learns from pixels has an optional input ``valid``.

    Data with dead or unlabelled pixels would otherwise be learned from.
    """
    port = cls.inputs.get("valid")
    good = port is not None and port.optional and port.dtype == "bool"
    hold(good, cls, "it has no optional bool input 'valid'")


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
    for statement in tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []:
        if isinstance(statement, ast.FunctionDef):
            yield statement.name
        elif isinstance(statement, ast.Assign) and not _declares_port(statement.value):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def _declares_port(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("Input", "Output")
