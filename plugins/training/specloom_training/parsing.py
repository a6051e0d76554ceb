"""Configuration objects from mappings, strictly, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from specloom import At, ConfigError, SpecloomError, did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")


def in_python(*_: object) -> str:
    """The place of what is written in Python: none that a message could name."""
    return ""


def to_plain(config: Any) -> Any:
    """A configuration as mappings, lists and values."""
    if is_dataclass(config):
        return {one.name: to_plain(getattr(config, one.name)) for one in fields(config)}
    if isinstance(config, SimpleNamespace):
        return to_plain(vars(config))
    if isinstance(config, Mapping):
        return {str(key): to_plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_plain(value) for value in config]
    if isinstance(config, Path):
        return str(config)
    return config


def parse(
    cls: type[T], value: Any, label: str, at: At = in_python
) -> tuple[T | None, list[SpecloomError]]:
    """An object of ``cls`` from a mapping; or None, and everything that is wrong with it.

    Args:
        cls: One of the classes of ``specloom_training.config``.
        value: The mapping; an object of ``cls`` is taken as it is.
        label: What messages call it.
        at: The place of a key in the run file; "" is that of the whole.
    """
    if isinstance(value, cls):
        return value, _problems_of(value, label, at)
    if not isinstance(value, Mapping):
        what = f"{label} is {value!r}, not a mapping"
        fix = "write 'key: value' lines"
        if isinstance(value, str) and issubclass(cls, SimpleNamespace):
            fix = f"write its name as a mapping: {{name: {value}}}"
        elif at is in_python or not at():
            fix = f"pass a {cls.__name__}, or a mapping of its parameters"
        return None, [ConfigError(what, where=at(), fix=fix)]
    if issubclass(cls, SimpleNamespace):
        # Its parameters are checked where the class that it names is known.
        if not isinstance(value.get("name"), str):
            return None, [ConfigError(f"{label} has no name", where=at(), fix="add name: … to it")]
        return cls(**value), []
    return _parse_dataclass(cls, value, label, at)


def _problems_of(config: Any, label: str, at: At) -> list[SpecloomError]:
    """What is wrong with the values of an object that was made in Python."""
    if not is_dataclass(config):
        return []
    types = get_type_hints(type(config))
    problems: list[SpecloomError] = []
    for one in fields(config):
        value = getattr(config, one.name)
        _value, wrong = _parse_value(types[one.name], value, f"{label}.{one.name}", at)
        problems += wrong
    return problems


def _parse_dataclass(
    cls: type[T], mapping: Mapping[Any, Any], label: str, at: At
) -> tuple[T | None, list[SpecloomError]]:
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[SpecloomError] = []
    for key, value in mapping.items():
        if value is None and _is_config(_without_none(types.get(key))):
            continue  # a section without values is as by default
        if key in types:
            place = partial(at, key)
            values[key], wrong = _parse_value(types[key], value, f"{label}.{key}", place)
            problems += wrong
        else:
            what = f"{label} has no parameter {key!r}"
            problems.append(ConfigError(what, where=at(key), fix=did_you_mean(str(key), types)))
    for key in required_fields(cls) - mapping.keys():
        what = f"{label} needs the parameter {key!r}"
        problems.append(ConfigError(what, where=at(), fix=f"add {key}: … to it"))
    if problems:
        return None, problems
    return cls(**values), []


def required_fields(cls: type) -> set[str]:
    """The fields of a dataclass that have no default."""
    return {
        one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING
    }


def _parse_value(
    annotation: Any, value: Any, label: str, at: At
) -> tuple[Any, list[SpecloomError]]:
    """A value of the annotated type, and what is wrong with it."""
    inner = _without_none(annotation)
    if value is not None and _is_config(inner):
        return parse(inner, value, label, at)
    if get_origin(inner) is list and _is_list(value):
        item_type = get_args(inner)[0]
        if _is_config(item_type):
            return _parse_list(item_type, value, label, at)
    name = label.rpartition(".")[2]
    fix = f"change {name}, or remove it to use the default"
    problems: list[SpecloomError] = [
        ConfigError(what, where=at(), fix=fix) for what in type_errors(annotation, value, label)
    ]
    return value, problems


def _parse_list(
    item_type: type[Any], values: Iterable[Any], label: str, at: At
) -> tuple[list[Any], list[SpecloomError]]:
    items: list[Any] = []
    problems: list[SpecloomError] = []
    for number, value in enumerate(values):
        item, wrong = parse(item_type, value, f"{label}[{number}]", partial(at, number))
        items.append(item)
        problems += wrong
    return items, problems


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``; anything else as it is."""
    if get_origin(annotation) is list:
        return annotation
    options = [one for one in get_args(annotation) if one is not NoneType]
    if options:
        return options[0]
    return annotation


def type_errors(annotation: Any, value: Any, label: str) -> Iterator[str]:
    """What is wrong with ``value`` as an ``annotation``; a list may stand for a tuple."""
    if _is_plainly(annotation, value):
        return
    if _is_list(value) and _validation_error(annotation, tuple(value)) is None:
        return
    error = _validation_error(annotation, value)
    if error is not None:
        expected = {one["msg"].removeprefix("Input ") for one in error.errors()}
        yield f"{label} {' or '.join(sorted(expected))}, got {value!r}"


def _is_plainly(annotation: Any, value: Any) -> bool:
    """Whether a value is a number, text or None of a type, which needs no pydantic to be seen."""
    kind = type(value)
    if kind not in (bool, int, float, str, NoneType):
        return False
    types = (annotation,)
    if get_origin(annotation) in (Union, UnionType):
        types = get_args(annotation)
    return kind in types or (kind is int and float in types)


def _validation_error(annotation: Any, value: Any) -> ValidationError | None:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as e:
        return e
    return None


def _is_config(annotation: Any) -> bool:
    if not isinstance(annotation, type):
        return False
    return is_dataclass(annotation) or issubclass(annotation, SimpleNamespace)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
