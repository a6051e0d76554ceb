"""Configuration objects from mappings, strictly, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from specloom import At, ConfigError, SpecloomError, did_you_mean

T = TypeVar("T")


def nowhere(*_: object) -> str:
    """The place of what is written in Python."""
    return ""


def plain(config: Any) -> Any:
    """A configuration as mappings, lists and values."""
    if is_dataclass(config):
        return {one.name: plain(getattr(config, one.name)) for one in fields(config)}
    if isinstance(config, SimpleNamespace):
        return plain(vars(config))
    if isinstance(config, Mapping):
        return {str(key): plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [plain(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def read(
    cls: type[T], given: Any, label: str, at: At = nowhere
) -> tuple[T | None, list[SpecloomError]]:
    """An object of ``cls`` from a mapping; or None, and everything that is wrong with it.

    Args:
        cls: One of the classes of ``specloom_training.config``.
        given: The mapping; an object of ``cls`` is taken as it is.
        label: What messages call it.
        at: The place of a key in the run file; "" is that of the whole.
    """
    if isinstance(given, cls):
        return given, []
    if not isinstance(given, Mapping):
        what = f"{label} is {given!r}, not a mapping"
        return None, [ConfigError(what, where=at(), fix="write 'key: value' lines")]
    if issubclass(cls, SimpleNamespace):  # its parameters are checked where its name is known
        if isinstance(given.get("name"), str):
            return cls(**given), []
        return None, [ConfigError(f"{label} has no name", where=at(), fix="add name: … to it")]
    hints, found, problems = get_type_hints(cls), dict[str, Any](), list[SpecloomError]()
    for key, value in given.items():
        if key not in hints:
            what, fix = f"{label} has no parameter {key!r}", did_you_mean(str(key), hints)
            problems.append(ConfigError(what, where=at(key), fix=fix))
            continue
        found[key], wrong = _value(hints[key], value, f"{label}.{key}", partial(at, key))
        problems += wrong
    for key in required(cls) - given.keys():
        what, fix = f"{label} needs the parameter {key!r}", f"add {key}: … to it"
        problems.append(ConfigError(what, where=at(), fix=fix))
    return (None if problems else cls(**found)), problems


def required(cls: type) -> set[str]:
    """The fields of a dataclass that have no default."""
    return {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}


def _value(hint: Any, value: Any, label: str, at: At) -> tuple[Any, list[SpecloomError]]:
    """A value of the type ``hint``, and what is wrong with it."""
    options = [one for one in get_args(hint) or [hint] if one is not NoneType]
    inner = options[0] if get_origin(hint) is not list else hint
    if value is not None and _is_config(inner):
        return read(inner, value, label, at)
    if get_origin(inner) is list and _is_config(item := get_args(inner)[0]) and _is_list(value):
        each = enumerate(value)
        made = [read(item, one, f"{label}[{i}]", partial(at, i)) for i, one in each]
        return [one for one, _ in made], [error for _, wrong in made for error in wrong]
    fix = f"change {label.rpartition('.')[2]}, or remove it to use the default"
    said = misfits(hint, value, label)
    return value, [ConfigError(what, where=at(), fix=fix) for what in said]


def misfits(hint: Any, value: Any, label: str) -> Iterator[str]:
    """What is wrong with ``value`` as a ``hint``; a list may stand for a tuple."""
    try:
        TypeAdapter(hint).validate_python(tuple(value) if _is_list(value) else value, strict=True)
    except ValidationError:
        try:
            TypeAdapter(hint).validate_python(value, strict=True)
        except ValidationError as e:
            said = {one["msg"].removeprefix("Input ") for one in e.errors()}
            yield f"{label} {' or '.join(sorted(said))}, got {value!r}"


def _is_config(hint: Any) -> bool:
    return isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, SimpleNamespace))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
