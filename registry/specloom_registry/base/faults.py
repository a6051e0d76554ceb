"""What the registry raises beside ``ConfigError`` and ``PluginError``: each with its exit code.

Also how a file's text becomes a value here: what is too deep or not Unicode is a ``ValueError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from specloom.contract.errors import (
    IntegrityError,
    PluginError,
    Problems,
    SpecloomWarning,
    UnavailableError,
    shown,
)

KINDS = {str: "text", int: "whole number", bool: "truth value"}
DEEPEST = 100  # lists and mappings within each other, in a file of the registry
SECRET = re.compile(r"(?<=://)[^/@\s'\"]+@")


class PluginIntegrityError(PluginError, IntegrityError):
    """A plugin's code is not the code that was locked; exit code 3."""


class PluginUnavailableError(PluginError, UnavailableError):
    """A plugin's code cannot be had now: no network, no disk, no tool; exit code 4."""


class ProblemsIntegrityError(Problems, IntegrityError):
    """Several plugins are not what was locked; exit code 3."""


class ProblemsUnavailableError(Problems, UnavailableError):
    """Several plugins cannot be had now; exit code 4."""


class RegistryWarning(SpecloomWarning):
    """Something about a plugin that the user should know of; nothing stops."""


def redacted(text: str) -> str:
    """``text`` without the credentials of URLs.

    >>> redacted("fatal: https://me:pw@example.org/x not found")
    'fatal: https://***@example.org/x not found'
    """
    return SECRET.sub("***@", text)


def parse_json(text: str | bytes) -> Any:
    """The value of JSON text that others may have written.

    Raises:
        ValueError: It is not JSON, nested too deeply, or holds half a character.
    """
    try:
        found = json.loads(text)
    except RecursionError as e:
        raise ValueError(_too_deep()) from e
    check_depth(found)
    json.dumps(found, ensure_ascii=False).encode()
    return found


def parse_toml(text: str) -> dict[str, Any]:
    """The value of TOML text that others may have written.

    Raises:
        ValueError: It is not TOML, or nested too deeply.
    """
    import tomllib

    try:
        found = tomllib.loads(text)
    except RecursionError as e:
        raise ValueError(_too_deep()) from e
    check_depth(found)
    return found


def check_depth(value: Any) -> None:
    """Refuse a value that a recursive function could not walk.

    Raises:
        ValueError: More than ``DEEPEST`` lists and mappings lie within each other.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(_too_deep())


def _inside(value: Any) -> Iterator[Any]:
    """The lists and mappings in a list or mapping."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    for one in value:
        if isinstance(one, dict | list):
            yield one


def _too_deep() -> str:
    return f"it is nested more than {DEEPEST} deep"


def type_problems(value: Any, wanted: Any, place: str = "") -> Iterator[str]:
    """Where a value is not of the wanted form, one text each.

    A form is a type, a tuple of types, a list of one form, or a mapping of forms by key: the key
    ``*`` stands for every key, and a key that ends with ``?`` may be left out.

    >>> list(type_problems({"a": 1, "b": ["x", 2]}, {"a": str, "b": [str], "c": int, "d?": int}))
    ["'a' is 1, which is no text", "'b[1]' is 2, which is no text", "'c' is missing"]
    """
    if isinstance(wanted, dict):
        yield from _key_problems(value, wanted, place)
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield _no("list", value, place)
            return
        for i, one in enumerate(value):
            yield from type_problems(one, wanted[0], f"{place}[{i}]")
    elif not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        first = wanted[0] if isinstance(wanted, tuple) else wanted
        yield _no(KINDS[first], value, place)


def _key_problems(value: Any, wanted: dict[str, Any], place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _no("mapping", value, place)
        return
    if "*" in wanted:
        wanted = dict.fromkeys(value, wanted["*"])
    for key, form in wanted.items():
        name = key.removesuffix("?")
        inner = f"{place}.{name}" if place else name
        if name in value:
            yield from type_problems(value[name], form, inner)
        elif name == key:
            yield f"{inner!r} is missing"


def _no(kind: str, value: Any, place: str) -> str:
    subject = repr(place) if place else "the whole"
    return f"{subject} is {shown(value)}, which is no {kind}"
