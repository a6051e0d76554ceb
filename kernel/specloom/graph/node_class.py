"""Node classes from annotated parameters: ``@node``, as ``dataclasses.dataclass`` does it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import (
    Any,
    ForwardRef,
    Generic,
    NamedTuple,
    Self,
    TypeVar,
    dataclass_transform,
    overload,
)

from specloom.contract.errors import did_you_mean

T = TypeVar("T")
Value = TypeVar("Value")
EMPTY: Any = inspect.Parameter.empty
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY
#: Parameters of an ``__init__`` that are no parameters of its node.
NOT_PASSED = frozenset({"self", "args", "kwargs"})
#: In annotations: what ``build`` allocates, and ``__init__`` must not take.
ALLOCATED = re.compile(r"\b(Tensor|Module)\b")


class _Param(NamedTuple):
    """What ``param`` says of a parameter."""

    default: Any = EMPTY
    kw_only: bool = False


def param(*, default: Any = EMPTY, kw_only: bool = False) -> Any:
    """A parameter of a ``@node`` class, where an annotation with a default does not say enough.

    Args:
        default: The default; without one, the parameter is required.
        kw_only: The parameter can only be passed by name.
    """
    return _Param(default, kw_only)


class Internal(Generic[Value]):
    """An attribute that is no parameter: ``_sum = Internal[Sum | None](None)``.

    It is a descriptor for type checkers only: the class gets the plain default.

    Args:
        default: The value of the class.
    """

    def __init__(self, default: Value, /) -> None:
        self.default = default

    @overload
    def __get__(self, node: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, node: object, owner: type, /) -> Value: ...
    def __get__(self, node: object | None, owner: type, /) -> Self | Value:
        if node is None:
            return self
        return self.default

    def __set__(self, node: object, value: Value) -> None:
        label = type(node).__name__
        raise AttributeError(f"{label} is no node: derive it from TorchNode or Ported")


def replace_internals(cls: type) -> None:
    """Put the plain default in the place of each ``Internal``, and nothing in that of a buffer."""
    members = dict(vars(cls))
    for name, internal in members.items():
        if not isinstance(internal, Internal):
            continue
        delattr(cls, name)
        if internal.default is not EMPTY:
            setattr(cls, name, internal.default)


class Field(NamedTuple):
    """One parameter of a ``@node`` class."""

    owner: type
    default: Any
    kw_only: bool

    def annotation(self, name: str) -> Any:
        """The type, to be read in the module where it was written."""
        written = self.owner.__annotations__[name]
        if isinstance(written, str):
            return ForwardRef(written, module=self.owner.__module__)
        return written

    def parameter(self, name: str) -> inspect.Parameter:
        """The parameter of ``__init__``."""
        if self.kw_only:
            return inspect.Parameter(name, KEYWORD, default=self.default)
        return inspect.Parameter(name, POSITIONAL, default=self.default)


@dataclass_transform(eq_default=False, field_specifiers=(param,))
def node(cls: type[T]) -> type[T]:
    """Make ``__init__`` of a node from the annotated attributes of its class.

    ``eps: float = 1e-6`` becomes the parameter ``eps``; parameters of ``@node`` base classes come
    first. ``ClassVar``, ports, ``buffer()`` and ``Internal`` are no parameters. ``__init__`` stores
    each argument under its own name, then calls ``__post_init__`` if the class has one.

    Raises:
        TypeError: The class has an ``__init__``, a parameter is a tensor or a module, or its
            default is a list, a dictionary or a set.
    """
    if "__init__" in vars(cls):
        what = f"{cls.__name__} has an __init__ of its own, which @node would replace"
        raise TypeError(f"{what}: remove one of the two")
    fields = _inherited_fields(cls) | _own_fields(cls)
    for name in _own_annotations(cls):
        if name in vars(cls):
            delattr(cls, name)
    cls.__node_fields__ = fields  # type: ignore[attr-defined]  # for subclasses
    annotations: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name in _in_order_of_parameters(fields):
        field = fields[name]
        annotations[name] = field.annotation(name)
        parameters.append(field.parameter(name))
    annotations["return"] = None
    made = _init_of(cls, parameters)
    made.__annotations__ = annotations
    cls.__init__ = made  # type: ignore[method-assign]  # as dataclass does
    cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # for inspect
    return cls


def _in_order_of_parameters(fields: Mapping[str, Field]) -> list[str]:
    """Names of parameters: those that are passed by name come last, and of them ``name``."""

    def key(name: str) -> tuple[bool, bool]:
        return fields[name].kw_only, name == "name"

    return sorted(fields, key=key)


def _own_annotations(cls: type) -> dict[str, Any]:
    """The annotated attributes of the body, less class variables."""
    annotations: dict[str, Any] = dict(vars(cls).get("__annotations__", {}))
    class_variables = [name for name, kind in annotations.items() if "ClassVar" in str(kind)]
    for name in class_variables:
        del annotations[name]
    return annotations


def _own_fields(cls: type) -> dict[str, Field]:
    fields = {}
    for name, kind in _own_annotations(cls).items():
        if ALLOCATED.search(str(kind)):
            what = f"{cls.__name__}.{name} would be a parameter of @node"
            raise TypeError(f"{what}: write {name} = buffer(), without an annotation")
        value = vars(cls).get(name, EMPTY)
        if not isinstance(value, _Param):
            value = _Param(value)
        if isinstance(value.default, (list, dict, set)):
            kind = type(value.default).__name__
            what = f"{cls.__name__}.{name} has a {kind} as its default, which all nodes would share"
            raise TypeError(f"{what}: use a tuple, or None")
        fields[name] = Field(cls, value.default, value.kw_only)
    return fields


def _inherited_fields(cls: type) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= vars(base).get("__node_fields__", {})
    return fields


def _next_written_init(cls: type, after: type) -> type:
    """The next base class whose ``__init__`` was not made by ``@node``; ``object`` is the last."""
    position = cls.__mro__.index(after)
    for base in cls.__mro__[position + 1 :]:
        if "__init__" in vars(base) and "__node_fields__" not in vars(base):
            return base
    return object


def _inits_before(cls: type, base: type) -> list[Callable[..., None]]:
    """Each ``__init__`` that subclasses of ``base`` wrote, the one of ``cls`` first."""
    subclasses = cls.__mro__[: cls.__mro__.index(base)]
    return [vars(one)["__init__"] for one in subclasses if "__init__" in vars(one)]


def _written_before(cls: type, base: type) -> set[str]:
    """The parameters of the ``__init__`` that subclasses of ``base`` wrote."""
    names: set[str] = set()
    for initialise in _inits_before(cls, base):
        names.update(inspect.signature(initialise).parameters)
    return names


def _binding_problem(
    cls: type, base: type, error: TypeError, passed: Iterable[str], fields: Collection[str]
) -> str:
    """Why ``__init__`` of ``base`` refused its arguments."""
    unknown = [name for name in passed if name not in fields]
    reason = str(error)
    if unknown:
        # Not that a parameter is missing: it may be the one that is misspelt.
        reason = f"got an unexpected keyword argument {unknown[0]!r}"
    if not _inits_before(cls, base):
        if not unknown or not fields:
            return f"{cls.__name__}: {reason}"
        return f"{cls.__name__}: {reason}; {did_you_mean(unknown[0], fields)}"
    taken = list(inspect.signature(base).parameters)
    what = f"{cls.__name__}: super().__init__() of {base.__name__} {reason}"
    fix = f"pass it parameters of {cls.__name__}.__init__, or of these: {', '.join(taken)}"
    known = _written_before(cls, base) - NOT_PASSED | set(taken)
    nearest = did_you_mean(unknown[0], known) if unknown else ""
    if nearest.startswith("did you mean"):
        return f"{what}; {nearest} Otherwise {fix}"
    return f"{what}: {fix}"


def _init_of(cls: type, parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """``__init__`` that calls the next one that was not made by ``@node``, and stores arguments.

    A parameter of the ``__init__`` that a subclass wrote may be passed up to it as well:
    ``super().__init__(step=step, **kwargs)``. It is stored like the others.
    """
    own = inspect.Parameter("self", POSITIONAL)
    fields = {parameter.name: parameter for parameter in parameters}
    signature = inspect.Signature([own, *parameters], return_annotation=None)

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        written = _written_before(type(self), cls)
        passed_up = {name: kwargs.pop(name) for name in written & kwargs.keys() - fields.keys()}
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(_binding_problem(type(self), cls, error, kwargs, fields)) from None
        bound.apply_defaults()
        base = _next_written_init(type(self), cls)
        base.__init__(self)  # type: ignore[misc]  # its own
        values = dict(bound.arguments)
        del values["self"]
        values |= passed_up
        for name, value in values.items():
            setattr(self, name, value)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    initialise.__name__ = "__init__"
    initialise.__qualname__ = f"{cls.__qualname__}.__init__"
    initialise.__module__ = cls.__module__
    initialise.__signature__ = signature  # type: ignore[attr-defined]  # for inspect
    return initialise
