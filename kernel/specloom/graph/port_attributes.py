"""Ports as attributes: ``pipeline.connect((normalizer.normalized, rx.data))``."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from specloom.contract.errors import GraphError, did_you_mean
from specloom.contract.ports import Port, fixed_size
from specloom.runfile.parameters import current, parameters

T = TypeVar("T")
#: Axes that differ from batch to batch: nodes are never built for them.
IMAGE_AXES = frozenset({"B", "H", "W"})


class PortRef(NamedTuple):
    """One port of one node, as ``pipeline.connect`` takes it."""

    node: Any
    side: str
    port: str

    def __str__(self) -> str:
        return f"{type(self.node).__name__}.{self.side}.{self.port}"


class Side(dict[str, Port]):
    """The ports of one side: a mapping, and on an instance ``node.inputs.data`` as well."""

    def __init__(self, side: str, ports: Mapping[str, Port], node: Any = None) -> None:
        super().__init__(ports)
        self._side, self._node = side, node

    def __get__(self, node: Any, owner: type) -> "Side":
        return self if node is None else Side(self._side, self, node)

    def __getattr__(self, name: str) -> PortRef:
        if self.__dict__.get("_node") is None:  # asked of the class, or while it is being copied
            raise AttributeError(f"{name!r}: only a node's sides have ports as attributes")
        if (port := current(self._node, name, self, type(self._node).__name__)) in self:
            return PortRef(self._node, self._side, port)
        what = f"{type(self._node).__name__} has no {self._side[:-1]} {name!r}"
        raise AttributeError(f"{what}: {did_you_mean(name, self)}")


class PortAttribute:
    """``node.scores``: the port of that name, where only one side has it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, node: Any, owner: type) -> Any:
        if node is None:
            return self
        cls = owner.__name__
        name = current(owner, self._name, {*node.inputs, *node.outputs}, cls)
        if name in node.inputs and name in node.outputs:
            fix = f"write {cls}.inputs.{name} or {cls}.outputs.{name}"
            raise GraphError(f"{cls}.{name} is an input and an output", fix=fix)
        return getattr(node.inputs if name in node.inputs else node.outputs, name)


class NodeType(type):
    """Gives every node a ``name=`` argument, and builds it at once where all sizes are given."""

    def __call__(cls: type[T], *args: Any, name: str = "", **params: Any) -> T:
        """Make a node; ``name`` is what its pipeline calls it."""
        for old in params.keys() & getattr(cls, "renamed", ()):
            free = parameters(cls).keys() - params  # a parameter that is given twice is refused
            params[current(cls, old, free, cls.__name__)] = params.pop(old)
        node = super().__call__(*args, **params)  # type: ignore[misc]  # mypy: T is no NodeType
        node.name = name
        ports: Mapping[str, Port] = cls.inputs  # type: ignore[attr-defined]  # every Ported class has it
        axes = {a for port in ports.values() for a in port.names if not a.isdigit()} - IMAGE_AXES
        given = {axis: size for axis in axes if (size := fixed_size(axis, node)) is not None}
        if given and len(given) == len(axes):
            build(node, given)
        return node  # type: ignore[no-any-return]  # super().__call__ is untyped


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


class Ported(metaclass=NodeType):
    """The one mixin: port attributes for the Python builder (``pipeline.connect``)."""

    inputs: ClassVar[Mapping[str, Port]] = {}
    outputs: ClassVar[Mapping[str, Port]] = {}
    #: The old names of ports and parameters, each with the present one.
    renamed: ClassVar[Mapping[str, str]] = {}
    name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.inputs, cls.outputs = Side("inputs", cls.inputs), Side("outputs", cls.outputs)
        ports = {*cls.inputs, *cls.outputs}
        for port in {*ports, *(old for old, now in cls.renamed.items() if now in ports)}:
            setattr(cls, port, PortAttribute(port))
        name = inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default="")
        given = [*parameters(cls).values(), name]
        cls.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]  # for inspect

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate what depends on sizes; called once, when they are known."""
