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
from specloom.graph.showing import node_html, node_text
from specloom.runfile.parameters import check_values, current, parameters

T = TypeVar("T")
#: Axes that differ from batch to batch: nodes are never built for them.
IMAGE_AXES = frozenset({"B", "H", "W"})


class NodeType(type):
    """Gives every node a ``name=`` argument, and builds it when all its sizes are passed."""

    def __call__(cls: type[T], *args: Any, name: str = "", **params: Any) -> T:
        """Make a node; ``name`` is what its pipeline calls it.

        Raises:
            ConfigError: A parameter has a value of another type, or none of the allowed ones.
        """
        renamed: Mapping[str, str] = getattr(cls, "renamed", {})
        for old in params.keys() & renamed:
            free = parameters(cls).keys() - params  # a parameter that is passed twice is refused
            present = current(cls, old, free, cls.__name__)
            params[present] = params.pop(old)
        node = super().__call__(*args, **params)  # type: ignore[misc]  # mypy: T is no NodeType
        node.name = name
        check_values(node, args, params)
        sizes = _sizes_from_parameters(node)
        if sizes is not None:
            build(node, sizes)
        return node  # type: ignore[no-any-return]  # super().__call__ is untyped


def _sizes_from_parameters(node: Any) -> dict[str, int] | None:
    """The sizes of all input axes, where the parameters set every one; else None."""
    sizes: dict[str, int] = {}
    for axis in _input_axes(node) - IMAGE_AXES:
        size = fixed_size(axis, node)
        if size is None:
            return None
        sizes[axis] = size
    return sizes or None


def _input_axes(node: Any) -> set[str]:
    """The axes with names, not numbers, of a node's inputs."""
    ports: Mapping[str, Port] = type(node).inputs
    axes: set[str] = set()
    for port in ports.values():
        axes.update(port.names)
    return {axis for axis in axes if not axis.isdigit()}


def build(node: Any, sizes: Mapping[str, int]) -> None:
    """Build ``node`` once for the sizes of its axes, and fill in parameters that only repeat one.

    Raises:
        GraphError: It was built for other sizes.
    """
    built: dict[str, int] | None = getattr(node, "built_for", None)
    if built is not None:
        _require_same_sizes(node, built, sizes)
        return
    for axis, size in sizes.items():
        if getattr(node, axis, size) is None:
            setattr(node, axis, size)
    if hasattr(node, "build"):
        node.build(sizes)
    node.built_for = dict(sizes)


def _require_same_sizes(
    node: Any,
    built: Mapping[str, int],
    sizes: Mapping[str, int],
) -> None:
    """Raise GraphError where one of ``sizes`` is not what a node was built for."""
    label = type(node).__name__
    for axis, size in built.items():
        here = sizes.get(axis, size)
        if here != size:
            what = f"{label} was built for {axis} = {size}, here {axis} is {here}"
            fix = "make a new node for data of other sizes"
            raise GraphError(what, fix=fix)


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
        body = vars(cls)
        in_dictionaries = set(body.get("inputs", ()))
        in_dictionaries.update(body.get("outputs", ()))
        # What dictionaries in the body declare, or else the ports of the base class, come first.
        inputs = dict(cls.inputs)
        outputs = dict(cls.outputs)
        sides = {"inputs": inputs, "outputs": outputs}
        for declared in declared_ports(cls).values():
            side = sides[declared.side]
            side[declared.name] = declared.port
        cls.inputs = Side("inputs", inputs)
        cls.outputs = Side("outputs", outputs)
        _add_port_attributes(cls, in_dictionaries)
        cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]  # for inspect

    def __repr__(self) -> str:
        return node_text(self)

    def _repr_html_(self) -> str:
        """The node with its ports, for notebooks."""
        return node_html(self)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate what depends on sizes; called once, when they are known."""


def _add_port_attributes(cls: type[Ported], in_dictionaries: set[str]) -> None:
    """Attributes for the ports that no descriptor declares, and for the old names of ports."""
    ports = {*cls.inputs, *cls.outputs}
    declared: set[str] = set()
    for base in cls.__mro__:
        declared |= _declared_names(base)
    names = ports - declared
    names |= in_dictionaries - _declared_names(cls)
    for old, present in cls.renamed.items():
        if present in ports:
            names.add(old)
    for name in names:
        setattr(cls, name, PortAttribute(name))


def _declared_names(cls: type) -> set[str]:
    """The names of the ports that the body of ``cls`` itself declares."""
    declared = declared_ports(cls)
    return {port.name for port in declared.values()}


def _signature(cls: type) -> inspect.Signature:
    """What a class of nodes is called with: its parameters, and ``name``."""
    name = inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default="")
    own = parameters(cls)
    return inspect.Signature([*own.values(), name])
