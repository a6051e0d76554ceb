"""The mixin of nodes: their ports as attributes, their names, and when they are built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from specloom.contract.errors import GraphError
from specloom.contract.ports import Port, fixed_size
from specloom.graph.node_class import node, param, replace_internals
from specloom.graph.port_attributes import (
    InputRef,
    OutputRef,
    PortAttribute,
    Side,
    declared_ports,
    refuse_hidden_members,
)
from specloom.runfile.parameters import current, parameters

T = TypeVar("T")
#: Axes that differ from batch to batch: nodes are never built for them.
IMAGE_AXES = frozenset({"B", "H", "W"})


class NodeType(type):
    """Gives every node a ``name=`` argument, and builds it when all its sizes are passed."""

    def __call__(cls: type[T], *args: Any, name: str = "", **params: Any) -> T:
        """Make a node; ``name`` is what its pipeline calls it."""
        for old in params.keys() & getattr(cls, "renamed", ()):
            free = parameters(cls).keys() - params  # a parameter that is given twice is refused
            params[current(cls, old, free, cls.__name__)] = params.pop(old)
        node = super().__call__(*args, **params)  # type: ignore[misc]  # mypy: T is no NodeType
        node.name = name
        sizes = _given_sizes(node)
        if sizes is not None:
            build(node, sizes)
        return node  # type: ignore[no-any-return]  # super().__call__ is untyped


def _given_sizes(node: Any) -> dict[str, int] | None:
    """The sizes of all input axes, where the parameters give every one; else None."""
    ports: Mapping[str, Port] = type(node).inputs
    named = {axis for port in ports.values() for axis in port.names if not axis.isdigit()}
    sizes: dict[str, int] = {}
    for axis in named - IMAGE_AXES:
        size = fixed_size(axis, node)
        if size is None:
            return None
        sizes[axis] = size
    return sizes or None


def build(node: Any, sizes: Mapping[str, int]) -> None:
    """Build ``node`` once for the sizes of its axes, and fill in parameters that only repeat one.

    Raises:
        GraphError: It was built for other sizes.
    """
    built: dict[str, int] | None = getattr(node, "built_for", None)
    for axis, size in (built or {}).items():
        if sizes.get(axis, size) != size:
            what = f"was built for {axis} = {size}, here {axis} is {sizes[axis]}"
            fix = "make a new node for data of other sizes"
            raise GraphError(f"{type(node).__name__} {what}", fix=fix)
    if built is not None:
        return
    for axis, size in sizes.items():
        if getattr(node, axis, size) is None:
            setattr(node, axis, size)
    if hasattr(node, "build"):
        node.build(sizes)
    node.built_for = dict(sizes)


@node
class Ported(metaclass=NodeType):
    """The one mixin: typed ports, ``name=``, and port attributes for ``pipeline.connect``."""

    inputs: ClassVar[Side[InputRef]] = Side("inputs", {})
    outputs: ClassVar[Side[OutputRef]] = Side("outputs", {})
    #: The old names of ports and parameters, each with the present one.
    renamed: ClassVar[Mapping[str, str]] = {}
    name: str = param(default="", kw_only=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        replace_internals(cls)
        refuse_hidden_members(cls)
        in_dictionaries = {*vars(cls).get("inputs", ()), *vars(cls).get("outputs", ())}
        # What dictionaries in the body declare, or else the ports of the base class, come first.
        sides = {"inputs": dict(cls.inputs), "outputs": dict(cls.outputs)}
        for port in declared_ports(cls).values():
            sides[port.side][port.name] = port.port
        cls.inputs = Side("inputs", sides["inputs"])
        cls.outputs = Side("outputs", sides["outputs"])
        _add_port_attributes(cls, in_dictionaries)
        name = inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default="")
        signature = inspect.Signature([*parameters(cls).values(), name])
        cls.__signature__ = signature  # type: ignore[attr-defined]  # for inspect

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate what depends on sizes; called once, when they are known."""


def _add_port_attributes(cls: type[Ported], in_dictionaries: set[str]) -> None:
    """Attributes for the ports that no descriptor declares, and for the old names of ports."""
    ports = {*cls.inputs, *cls.outputs}
    own = {port.name for port in declared_ports(cls).values()}
    declared = {port.name for base in cls.__mro__ for port in declared_ports(base).values()}
    old = {name for name, present in cls.renamed.items() if present in ports}
    for name in (ports - declared) | (in_dictionaries - own) | old:
        setattr(cls, name, PortAttribute(name))
