"""Parameters: what a class takes, and whether what the user wrote fits."""

import inspect
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_type_hints

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean, shown, warn
from specloom.runfile import plain_types

EMPTY = inspect.Parameter.empty
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What ``cls`` takes from a run file: its ``__init__`` less ``self`` and ``python_only``.

    Where it passes ``**kwargs`` on to a class made by ``@node``, the parameters of that class are
    among them. ``name`` of a node is no parameter: a run file has it as the node's key.
    """
    hidden = set(getattr(cls, "python_only", ()))
    if hasattr(cls, "inputs"):
        hidden.add("name")
    found: dict[str, inspect.Parameter] = {}
    for initialise in _initialisers(cls):
        arguments = list(inspect.signature(initialise).parameters.values())
        for parameter in arguments[1:]:  # without ``self``
            if parameter.name not in hidden and parameter.kind not in VARIADIC:
                found.setdefault(parameter.name, parameter)
    return found


def _initialisers(cls: type) -> Iterator[Callable[..., None]]:
    """``__init__`` of ``cls``, and those made by ``@node`` that get its ``**kwargs``."""
    initialise: Callable[..., None] = cls.__init__  # type: ignore[misc]  # its own
    yield initialise
    for base in cls.__mro__[1:]:
        kinds = [one.kind for one in inspect.signature(initialise).parameters.values()]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return
        if "__init__" in vars(base) and "__node_fields__" in vars(base):
            initialise = vars(base)["__init__"]
            yield initialise


def required(cls: type) -> set[str]:
    """The parameters that ``cls`` cannot be made without."""
    found = set()
    for name, parameter in parameters(cls).items():
        if parameter.default is EMPTY:
            found.add(name)
    return found


def current(
    owner: Any,
    name: str,
    known: Container[str],
    label: str,
    where: str = "",
) -> str:
    """The present name of a port or a parameter, with a warning where ``name`` is an old one.

    Args:
        owner: The node or its class; its ``renamed`` has the present names by the old ones.
        name: What the user wrote.
        known: The names that may be meant.
        label: What the user calls the owner.
        where: The place in the user's file.
    """
    renamed: Mapping[str, str] = getattr(owner, "renamed", {})
    present = renamed.get(name, "")
    if name in known or present not in known:
        return name
    warn(f"{label}: {name!r} is now called {present!r}: change it", where)
    return present


def values(node: Any) -> dict[str, Any]:
    """The current parameters of an object, as a run file would have them, less the defaults.

    Defaults that were others in earlier versions are among them.
    """
    cls: type = type(node)
    stated = earlier_defaults(cls)
    found = {}
    for name, parameter in parameters(cls).items():
        value = getattr(node, name)
        if hasattr(value, "item"):
            value = value.item()  # of an array without axes
        is_default = parameter.default is not EMPTY and value == parameter.default
        if name in stated or not is_default:
            validator = adapter(cls, name)
            found[name] = validator.dump_python(value, mode="json", warnings=False)
    return found


def earlier_defaults(cls: type) -> Mapping[str, Any]:
    """Parameters with other defaults than in earlier versions, and these earlier ones."""
    found: Mapping[str, Any] = getattr(cls, "earlier_defaults", {})
    return found


@lru_cache(maxsize=512)
def annotation(cls: type, name: str) -> Any:
    """The type of one parameter of ``cls``; Any where it has none."""
    for initialise in _initialisers(cls):
        if name in inspect.signature(initialise).parameters:
            hints = get_type_hints(initialise, include_extras=True)
            return hints.get(name, Any)
    return Any


@lru_cache(maxsize=512)
def adapter(cls: type, name: str) -> Any:
    """Pydantic's validator of one parameter of ``cls``."""
    from pydantic import TypeAdapter

    return TypeAdapter(annotation(cls, name))


NO_LIST = "should be a valid array"
"""What pydantic says of a value that is no list."""


def checked(
    cls: type,
    label: str,
    config: Mapping[str, Any],
    at: Callable[[str], str],
    written: Callable[[str], str] = lambda name: "",
) -> tuple[dict[str, Any], list[SpecloomError]]:
    """The parameters of ``cls`` with their types, and everything that is wrong with ``config``.

    Args:
        cls: The class to be constructed.
        label: What the user calls it: ``rx.RXGlobal``.
        config: The parameters as the run file has them.
        at: The place of a parameter in the run file.
        written: A parameter as it stands in the run file, where it is a number or the like.
    """
    known = parameters(cls)
    needed = required(cls)
    valid: dict[str, Any] = {}
    problems: list[SpecloomError] = []
    unused = known.keys() - config.keys()  # an old name together with the new one is unknown
    present_names = set()
    for key, value in config.items():
        where = at(key)
        name = current(cls, key, unused, label, where)
        present_names.add(name)
        if name not in known:
            error = _unknown_parameter(name, known, label, where)
            problems.append(error)
            continue
        converted, wrong = _convert(cls, name, value, written(key))
        if not wrong:
            valid[name] = converted
        fix = _fix_of_value(name, value, wrong)
        if name not in needed:
            fix = f"{fix}, or remove it to use the default"
        for sentence in wrong:
            error = ConfigError(f"{label}: {sentence}", where=where, fix=fix)
            problems.append(error)
    for name in sorted(needed - present_names):
        what = f"{label} needs the parameter {name!r}"
        where = at("")
        fix = f"add {name}: … to its config"
        error = ConfigError(what, where=where, fix=fix)
        problems.append(error)
    return valid, problems


def check_values(node: Any, args: Sequence[Any], params: Mapping[str, Any]) -> None:
    """Check the arguments of a node that was made in Python, as those of a run file are checked.

    Defaults are not checked, nor what no run file could hold, such as an array.

    Args:
        node: The node.
        args: Its arguments that were passed by position.
        params: Those that were passed by name.

    Raises:
        ConfigError: A parameter has a value of another type, or none of the allowed ones.
    """
    cls = type(node)
    passed = {**_by_name(cls, args), **params}
    for name, parameter in parameters(cls).items():
        value = passed.get(name, parameter.default)
        if value is parameter.default or not _is_plain(value):
            continue
        try:
            _converted, wrong = _convert(cls, name, value, "")
        except NameError:
            # Its annotation names what type checkers alone import.
            continue
        if wrong:
            label = f"node {node.name!r} ({cls.__name__})" if node.name else cls.__name__
            what = f"{label}: {'; '.join(wrong)}"
            raise ConfigError(what, fix=_fix_of_value(name, value, wrong))


def _by_name(cls: type, args: Sequence[Any]) -> dict[str, Any]:
    """Arguments that were passed by position, by their names."""
    if not args:
        return {}
    initialise: Callable[..., None] = cls.__init__  # type: ignore[misc]  # its own
    taken = list(inspect.signature(initialise).parameters.values())[1:]
    names = [one.name for one in taken if one.kind not in VARIADIC]
    return dict(zip(names, args, strict=False))


def _is_plain(value: Any) -> bool:
    """Whether a run file could hold a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _unknown_parameter(
    name: str,
    known: Iterable[str],
    label: str,
    where: str,
) -> ConfigError:
    """The error for a parameter that a class does not take."""
    what = f"{label} has no parameter {name!r}"
    if name.isdecimal():
        fix = "write numbers with a decimal point: a comma begins the next parameter"
        return ConfigError(what, where=where, fix=fix)
    remove = f"remove it: {label} takes no parameters"
    fix = did_you_mean(name, known, otherwise=remove)
    return ConfigError(what, where=where, fix=fix)


def _fix_of_value(name: str, value: Any, wrong: Sequence[str]) -> str:
    """The fix for a value of the wrong type."""
    is_one = not isinstance(value, (list, dict)) and value is not None
    needs_list = any(f"{NO_LIST}, got" in sentence for sentence in wrong)
    if is_one and needs_list:
        return f"write a list: {name}: [{shown(value)}]"
    return f"change {name}"


def _convert(cls: type, name: str, value: Any, written: str) -> tuple[Any, Sequence[str]]:
    """The value of a parameter with its type, or what is wrong with it."""
    # As JSON, so that a list may stand for a tuple while 1 is no text and "1" no number.
    text = json.dumps(value)
    converted = plain_types.convert(annotation(cls, name), json.loads(text))
    if converted is not plain_types.DOUBTFUL:
        return converted, ()
    from pydantic import ValidationError

    validator = adapter(cls, name)
    try:
        return validator.validate_json(text, strict=True), ()
    except ValidationError as e:
        return None, _type_problems(name, written or shown(value), e.errors())


def _type_problems(name: str, value: str, errors: list[Any]) -> list[str]:
    """One sentence for each wrong place in a value; types of which any would do are joined.

    Args:
        name: The name of the parameter.
        value: The value as it is shown.
        errors: What pydantic finds wrong.
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        inner = _index(error)
        got = value
        if inner:
            got = shown(error["input"])
        same_place = reasons.setdefault((inner, got), [])
        same_place.append(_reason(error))
    sentences = []
    for (inner, got), expected in reasons.items():
        alternatives = " or ".join(expected)
        sentences.append(f"{name}{inner} {alternatives}, got {got}")
    return sentences


def _index(error: Mapping[str, Any]) -> str:
    """The place of one of pydantic's errors inside the value, such as ``[0][2]``, or ``""``."""
    index = ""
    for part in error["loc"]:
        if isinstance(part, int):
            index += f"[{part}]"
    return index


def _reason(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as the rest of a sentence that begins with the parameter."""
    if error["type"] == "missing":
        return "is missing"
    message: str = error["msg"]
    return message.removeprefix("Input ").removeprefix("Value error, ")
