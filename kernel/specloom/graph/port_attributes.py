"""Ports as attributes of a node: ``pipeline.connect((normalizer.normalized, rx.data))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, overload

from specloom.contract.errors import GraphError, did_you_mean
from specloom.contract.ports import Port
from specloom.runfile.parameters import current


class PortRef:
    """One port of one node, as ``pipeline.connect`` takes it.

    Args:
        node: The node.
        port: The name of the port.
    """

    side: ClassVar[str]
    __slots__ = ("node", "port")

    def __init__(self, node: Any, port: str) -> None:
        self.node = node
        self.port = port

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.node is other.node and self.port == other.port

    def __hash__(self) -> int:
        return hash((id(self.node), self.side, self.port))

    def __str__(self) -> str:
        return f"{type(self.node).__name__}.{self.side}.{self.port}"

    def __repr__(self) -> str:
        ports: Mapping[str, Port] = getattr(self.node, self.side)
        port = ports[self.port]
        shape = port.axes
        if shape is None:
            shape = port.dtype
        label = self.node.name or type(self.node).__name__
        return f"<{self.side[:-1]} {label}.{self.port} ({shape})>"


class InputRef(PortRef):
    """An input of one node: where a connection ends."""

    side = "inputs"
    __slots__ = ()


class OutputRef(PortRef):
    """An output of one node: where a connection starts."""

    side = "outputs"
    __slots__ = ()


Ref = TypeVar("Ref", InputRef, OutputRef)
REFS: dict[str, type[PortRef]] = {"inputs": InputRef, "outputs": OutputRef}


class Side(dict[str, Port], Generic[Ref]):
    """The ports of one side: a mapping, and on a node ``node.inputs.data`` as well.

    Args:
        side: ``inputs`` or ``outputs``.
        ports: The ports by name.
        node: The node that has them; None on its class.
    """

    def __init__(self, side: str, ports: Mapping[str, Port], node: Any = None) -> None:
        super().__init__(ports)
        self._side = side
        self._node = node

    def __get__(self, node: object | None, owner: type) -> Side[Ref]:
        if node is None:
            return self
        return Side(self._side, self, node)

    def __getattr__(self, name: str) -> Ref:
        # On the class, or while the side is being copied, there is no node.
        if name.startswith("__") or self.__dict__.get("_node") is None:
            raise AttributeError(f"{name!r}: only a node's sides have ports as attributes")
        label = type(self._node).__name__
        port = current(self._node, name, self, label)
        if port not in self:
            what = f"{label} has no {self._side[:-1]} {name!r}"
            raise AttributeError(f"{what}: {did_you_mean(name, self)}")
        return REFS[self._side](self._node, port)  # type: ignore[return-value]  # by its side

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


class PortDeclaration:
    """A port in the body of a class; see ``Input`` and ``Output``.

    Args:
        axes: The axes as in einops, None where no array flows, or a ``Port`` that several share.
        dtype: An array's element type, or what flows instead of an array.
        unit: The unit of the values, such as ``nm``.
        doc: What the values are, in one sentence.
        kind: The name of a registered kind, ``plugin.kind``; different kinds never connect.
        fields: The keys that a record must have.
        optional: The node runs without it.
        for_fit: Needed while the node is fitted, not afterwards.
        many: Takes any number of connections; the node gets a list.
        host: Stays in the host's memory, whatever the device.
        per_stage: Known when a stage ends, not for each batch.
        unused_note: What to report where nothing is connected to this output.
        labelled: Of an input that says which pixels count: whether only labelled ones may.
        instead_of: Of an output for labelled pixels: the output for all that may be used.
        labels: Of such an output: the output that holds the labels.
        companion_of: Of an input: the input of the same node that it belongs to.
        companion_output: Of such an input: the output, of the node that feeds that one, for it.
        name: The name of the port, where the attribute needs another one.
    """

    side: ClassVar[str]

    def __init__(
        self,
        axes: str | Port | None = None,
        dtype: str = "float32",
        *,
        unit: str = "",
        doc: str = "",
        kind: str = "",
        fields: tuple[str, ...] = (),
        optional: bool = False,
        for_fit: bool = False,
        many: bool = False,
        host: bool = False,
        per_stage: bool = False,
        unused_note: str = "",
        labelled: bool | None = None,
        instead_of: str = "",
        labels: str = "",
        companion_of: str = "",
        companion_output: str = "",
        name: str = "",
    ) -> None:
        self.name = name
        if isinstance(axes, Port):
            self.port = axes
            return
        self.port = Port(
            axes,
            dtype,
            unit=unit,
            doc=doc,
            kind=kind,
            fields=fields,
            optional=optional,
            for_fit=for_fit,
            many=many,
            host=host,
            per_stage=per_stage,
            unused_note=unused_note,
            labelled=labelled,
            instead_of=instead_of,
            labels=labels,
            companion_of=companion_of,
            companion_output=companion_output,
        )

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            self.name = name

    def __set__(self, node: object, value: object) -> NoReturn:
        what = f"{type(node).__name__}.{self.name} is a port, and cannot be set"
        raise AttributeError(f"{what}: store the value under another name")


class Input(PortDeclaration):
    """An input port: ``data = Input("B H W C", doc="Spectra.")``; see ``Port`` for the arguments.

    Where an output has the same name, the input's attribute gets another one:
    ``cube_in = Input("B H W C", name="cube")``.
    """

    side = "inputs"

    @overload
    def __get__(self, node: None, owner: type, /) -> Input: ...
    @overload
    def __get__(self, node: object, owner: type, /) -> InputRef: ...
    def __get__(self, node: object | None, owner: type, /) -> Input | InputRef:
        if node is None:
            return self
        return InputRef(node, self.name)


class Output(PortDeclaration):
    """An output port: ``scores = Output("B H W 1", doc="Scores.")``; see ``Port``."""

    side = "outputs"

    @overload
    def __get__(self, node: None, owner: type, /) -> Output: ...
    @overload
    def __get__(self, node: object, owner: type, /) -> OutputRef: ...
    def __get__(self, node: object | None, owner: type, /) -> Output | OutputRef:
        if node is None:
            return self
        return OutputRef(node, self.name)


class PortAttribute:
    """``node.scores`` for ports that a dictionary declares, and for the old names of ports.

    Args:
        name: The name of the port, or an old one.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, node: Any, owner: type) -> Any:
        if node is None:
            return self
        cls = owner.__name__
        known = {*node.inputs, *node.outputs}
        name = current(owner, self._name, known, cls)
        if name in node.inputs and name in node.outputs:
            fix = f"write {cls}.inputs.{name} or {cls}.outputs.{name}"
            raise GraphError(f"{cls}.{name} is an input and an output", fix=fix)
        if name in node.inputs:
            return getattr(node.inputs, name)
        return getattr(node.outputs, name)


def declared_ports(cls: type) -> dict[str, PortDeclaration]:
    """The ports that the body of ``cls`` itself declares, by attribute, in order."""
    members = vars(cls).items()
    return {name: member for name, member in members if isinstance(member, PortDeclaration)}


def refuse_hidden_members(cls: type) -> None:
    """Refuse a port that hides a member of a base class, such as ``half`` of ``nn.Module``.

    Raises:
        TypeError: A declared port has the name of such a member.
    """
    for attribute, port in declared_ports(cls).items():
        for base in cls.__mro__[1:]:
            hidden = vars(base).get(attribute, port)
            if not isinstance(hidden, PortDeclaration | PortAttribute):
                kind = type(port).__name__
                what = f"the port {attribute!r} of {cls.__name__} hides {base.__name__}.{attribute}"
                fix = f'write {attribute}_ = {kind}(…, name="{attribute}")'
                raise TypeError(f"{what}: {fix}")
