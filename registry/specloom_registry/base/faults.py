"""The registry's own errors, each with its exit code, and strict readers of JSON and TOML.

What is nested too deeply or is not Unicode is a ``ValueError``.
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

KINDS = {str: "string", int: "whole number", bool: "boolean"}
DEEPEST = 100  # lists and mappings within each other, in a file of the registry
SECRET = re.compile(r"(?<=://)[^/@\s'\"]+@")
QUERY = re.compile(r"(://[^\s'\"?#]+[?#])[^\s'\"]+")


class PluginIntegrityError(PluginError, IntegrityError):
    """A plugin's code is not the code that was locked; exit code 3."""


class PluginUnavailableError(PluginError, UnavailableError):
    """A plugin's code is not available: no network, no disk, no tool; exit code 4."""


class ProblemsIntegrityError(Problems, IntegrityError):
    """Several plugins are not what was locked; exit code 3."""


class ProblemsUnavailableError(Problems, UnavailableError):
    """Several plugins are not available; exit code 4."""


class RegistryWarning(SpecloomWarning):
    """A warning about a plugin: nothing stops."""


def redacted(text: str) -> str:
    """Return ``text`` without the credentials and queries of URLs.

    >>> redacted("fatal: https://me:pw@example.org/x not found")
    'fatal: https://***@example.org/x not found'
    >>> redacted("https://example.org/x?token=secret is gone")
    'https://example.org/x?*** is gone'
    """
    return QUERY.sub(r"\1***", SECRET.sub("***@", text))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON text that others may have written.

    Raises:
        ValueError: It is not JSON, nested too deeply, or holds half a character.
    """
    try:
        value = json.loads(text)
    except RecursionError as e:
        raise _depth_error() from e
    check_depth(value)
    json.dumps(value, ensure_ascii=False).encode()  # half a character fails here
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML text that others may have written.

    Raises:
        ValueError: It is not TOML, or nested too deeply.
    """
    import tomllib

    try:
        value = tomllib.loads(text)
    except RecursionError as e:
        raise _depth_error() from e
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Refuse a value that a recursive function could not walk.

    Raises:
        ValueError: More than ``DEEPEST`` lists and mappings lie within each other.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return
    raise _depth_error()


def _containers(value: Any) -> Iterator[Any]:
    """Return the lists and mappings directly in a list or mapping."""
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    else:
        return
    for item in items:
        if isinstance(item, dict | list):
            yield item


def _depth_error() -> ValueError:
    return ValueError(f"it is nested more than {DEEPEST} deep")


def type_problems(value: Any, form: Any, path: str = "") -> Iterator[str]:
    """Describe where a value does not have a form, one text for each place.

    A form is a type, a tuple of types, a list of one form, or a mapping of forms by key: the key
    ``*`` stands for every key, and a key that ends with ``?`` may be absent.

    >>> list(type_problems({"a": 1, "b": ["x", 2]}, {"a": str, "b": [str], "c": int, "d?": int}))
    ["'a' is 1, which is not a string", "'b[1]' is 2, which is not a string", "'c' is missing"]
    """
    if isinstance(form, dict):
        yield from _mapping_problems(value, form, path)
    elif isinstance(form, list):
        yield from _list_problems(value, form[0], path)
    elif isinstance(value, bool) and form is int:
        yield _type_problem(KINDS[int], value, path)
    elif not isinstance(value, form):
        first = form[0] if isinstance(form, tuple) else form
        yield _type_problem(KINDS[first], value, path)


def _list_problems(value: Any, form: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield _type_problem("list", value, path)
        return
    for i, item in enumerate(value):
        yield from type_problems(item, form, f"{path}[{i}]")


def _mapping_problems(value: Any, forms: dict[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _type_problem("mapping", value, path)
        return
    if "*" in forms:
        forms = dict.fromkeys(value, forms["*"])
    for key, form in forms.items():
        name = key.removesuffix("?")
        inner = f"{path}.{name}" if path else name
        if name in value:
            yield from type_problems(value[name], form, inner)
        elif name == key:
            yield f"{inner!r} is missing"


def _type_problem(kind: str, value: Any, path: str) -> str:
    subject = repr(path) if path else "the whole"
    return f"{subject} is {shown(value)}, which is not a {kind}"
