"""Ports: the typed ends of connections.

Axes are written as in einops: ``"B H W C"``. An upper-case name is free (one size per node), a
lower-case name is the node's parameter of that name (free while the parameter is None), a number
is fixed, a leading ``...`` stands for any axes, and ``""`` is a scalar. A port whose ``axes`` is
None carries no array: its ``dtype`` is then ``"scalars"`` (a mapping of names to numbers),
``"record"`` (a mapping, or one for each image) or ``"object"`` (anything).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from specloom.contract.errors import PortError, did_you_mean

INTEGERS = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"})
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
GROUPS = {"integer": INTEGERS, "float": FLOATS, "real": INTEGERS | FLOATS}
WITHOUT_ARRAY = frozenset({"scalars", "record", "object"})
OTHERS = frozenset({"bool", "complex64", "complex128"})
DTYPES = frozenset(GROUPS) | INTEGERS | FLOATS | OTHERS | WITHOUT_ARRAY
#: Names and numbers between spaces, and ``...`` in front.
AXES = re.compile(r"(\.\.\.|[A-Za-z_]\w*|\d+)?( +([A-Za-z_]\w*|\d+))*")


@dataclass(frozen=True)
class Port:
    """One named end of a connection.

    Args:
        axes: The axes as in einops, or None where no array flows.
        dtype: An array's element type, such as ``float32`` or ``bool``; one of the groups
            ``integer``, ``float`` and ``real``; or, without axes, ``scalars`` (names with
            numbers), ``record`` (a mapping) or ``object``.
        unit: The unit of the values, such as ``nm``.
        doc: What the values are, in one sentence.
        kind: The name of a registered kind, ``plugin.kind``; different kinds never connect.
        fields: The keys that a record must have.
        optional: The node runs without it.
        for_fit: Needed while the node is fitted, not afterwards; ``forward`` takes it all the
            same. With ``optional``, the fit uses it where it is connected.
        many: Takes any number of connections; the node gets a list.
        host: Stays in the host's memory, whatever the device (wavelengths, for instance).
        per_stage: Known when a stage ends, not for each batch (pooled metrics, for instance).
        unused_note: What to report where nothing is connected to this output; empty for nothing.
        labelled: Of an input that says which pixels count: True where only pixels with a label may,
            False where others may too. None: only those with a label where the node reads labels.
        instead_of: Of an output that says which pixels have a label: the output of the same node
            that says which may be used at all. Inputs for labelled pixels that are connected to
            that one are connected to this one.
        labels: Of such an output: the output of the same node that holds the labels.
        companion_of: Of an optional input: the input of the same node that it belongs to.
        companion_output: Of such an input: the output that belongs to it. Where the node that feeds
            ``companion_of`` has it and the input is not connected, the graph connects the two.

    >>> Port("B H W C", unit="reflectance").names
    ('B', 'H', 'W', 'C')
    """

    axes: str | None = None
    dtype: str = "float32"
    unit: str = ""
    doc: str = ""
    kind: str = ""
    fields: tuple[str, ...] = ()
    optional: bool = False
    for_fit: bool = False
    many: bool = False
    host: bool = False
    per_stage: bool = False
    unused_note: str = ""
    labelled: bool | None = None
    instead_of: str = ""
    labels: str = ""
    companion_of: str = ""
    companion_output: str = ""

    def __post_init__(self) -> None:
        if (self.axes is None) != (self.dtype in WITHOUT_ARRAY):
            kinds = ", ".join(sorted(WITHOUT_ARRAY))
            raise ValueError(f"a port has axes, or else a dtype of {kinds}: {self}")
        if self.dtype not in DTYPES:
            raise ValueError(
                f"there is no dtype {self.dtype!r}: {did_you_mean(self.dtype, DTYPES)}"
            )
        if self.axes is not None and not AXES.fullmatch(self.axes):
            how = "write names and numbers with spaces between them, as in 'B H W C'"
            raise ValueError(f"{self.axes!r} are no axes: {how}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The axis names, without a leading ``...``."""
        written = (self.axes or "").split()
        return tuple(name for name in written if name != "...")

    @cached_property
    def open_front(self) -> bool:
        """Whether any axes may stand before the named ones."""
        return (self.axes or "").startswith("...")

    @property
    def required(self) -> bool:
        """Whether a graph must feed it for the node to run."""
        return not (self.optional or self.for_fit or self.many)

    def takes_dtype(self, dtype: str) -> bool:
        """Whether every value of ``dtype`` (itself maybe a group) is accepted here."""
        return _dtypes(dtype) <= _dtypes(self.dtype)

    def check(self, value: Any, owner: object, sizes: dict[str, int], where: str) -> None:
        """Raise PortError unless ``value`` fits; record the free sizes met in ``sizes``."""
        values = value if self.many else [value]
        for one in values:
            self._check_one(one, owner, sizes, where)

    def _check_one(self, value: Any, owner: object, sizes: dict[str, int], where: str) -> None:
        if self.axes is None:
            self._check_plain(value, where)
            return
        if not hasattr(value, "shape"):
            what = f"wants an array ({self.axes}), got {type(value).__name__}"
            raise PortError(what, where=where)
        shape = tuple(value.shape)
        named = shape
        if self.open_front:
            named = shape[len(shape) - len(self.names) :]
        if len(named) != len(self.names):
            raise PortError(f"wants axes ({self.axes}), got shape {shape}", where=where)
        dtype = dtype_name(value)
        if not self.takes_dtype(dtype):
            fix = f"convert it to {self.dtype} in the node before"
            raise PortError(f"wants {self.dtype}, got {dtype}", where=where, fix=fix)
        for axis, got in zip(self.names, named, strict=True):
            want = fixed_size(axis, owner)
            if want is None:
                want = sizes.setdefault(axis, got)
            if got != want:
                what = f"is {got} but should be {want} (shape {shape}, axes {self.axes})"
                raise PortError(f"axis {axis} {what}", where=where)

    def _check_plain(self, value: Any, where: str) -> None:
        if self.dtype == "object":
            return
        values = [value]
        if self.dtype == "record" and isinstance(value, list):
            values = value
        for one in values:
            if not isinstance(one, Mapping):
                raise PortError(f"wants a mapping, got {type(one).__name__}", where=where)
            missing = [name for name in self.fields if name not in one]
            if missing:
                names = ", ".join(missing)
                fix = f"add {names} to the mapping that the node makes"
                raise PortError(f"lacks the keys {names}", where=where, fix=fix)


class Connection(NamedTuple):
    """A connection: ``source`` and ``target`` are ``node.port``; ``where`` is its place."""

    source: str
    target: str
    where: str = ""

    @property
    def source_node(self) -> str:
        """The node, or ``batch``, that the value comes from."""
        return node_of(self.source)

    @property
    def target_node(self) -> str:
        """The node that the value goes to."""
        return node_of(self.target)


def node_of(end: str) -> str:
    """The node, or ``batch``, of a port or value that is written ``node.port``."""
    return end.partition(".")[0]


def port_of(end: str) -> str:
    """The port of ``node.port``."""
    return end.partition(".")[2]


def dtype_name(array: Any) -> str:
    """The element type of a NumPy or torch array by one name.

    >>> import numpy as np; dtype_name(np.zeros(1))
    'float64'
    """
    return str(array.dtype).removeprefix("torch.")


def fixed_size(axis: str, owner: object) -> int | None:
    """The size that ``owner`` gives to ``axis``, or None while it is free.

    >>> fixed_size("3", object()), fixed_size("C", object())
    (3, None)
    """
    if axis.isdigit():
        return int(axis)
    if not axis[0].islower():
        return None
    size: int | None = getattr(owner, axis, None)
    return size


def mismatch(source: Port, target: Port) -> str:
    """Why ``source`` cannot be connected to ``target``, whatever the sizes; or ``""``."""
    if source.kind and target.kind and source.kind != target.kind:
        return f"is {source.kind} but {{target}} wants {target.kind}"
    if not target.takes_dtype(source.dtype):
        return f"is {source.dtype} but {{target}} wants {target.dtype}"
    if source.per_stage != target.per_stage:
        return f"{_when_known(source)} but {{target}} wants what {_when_known(target)}"
    if source.axes is None or _has_axes_for(source, target):
        return ""
    return f"has axes ({source.axes}) but {{target}} wants ({target.axes})"


def _dtypes(dtype: str) -> frozenset[str]:
    """The element types of a group, or the one that is written."""
    return GROUPS.get(dtype, frozenset({dtype}))


def _when_known(port: Port) -> str:
    if port.per_stage:
        return "is known when a stage ends"
    return "is made for each batch"


def _has_axes_for(source: Port, target: Port) -> bool:
    """Whether ``source`` has the number of axes that ``target`` names."""
    missing = len(target.names) - len(source.names)
    if target.open_front:
        return missing <= 0
    return missing == 0
