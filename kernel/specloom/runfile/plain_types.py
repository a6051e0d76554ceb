"""Values of plain types converted without pydantic, whose import takes longer than a check.

``convert`` gives what pydantic's strict validation of JSON gives, or ``DOUBTFUL``: then pydantic
has to find out, and says what is wrong.
"""

import math
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

DOUBTFUL: Final = object()
"""It is not clear without pydantic whether a value has a type."""

LARGEST: Final = 2**53
"""Whole numbers below it have a float of the same value."""


def convert(annotation: Any, value: Any) -> Any:
    """A value of JSON as its type; ``DOUBTFUL`` where only pydantic knows.

    >>> convert(tuple[float, ...], [1, 2.5])
    (1.0, 2.5)
    >>> convert(int, "1") is DOUBTFUL
    True

    Args:
        annotation: The type.
        value: A value as ``json.loads`` makes it.
    """
    if annotation is Any:
        return value
    if annotation is float:
        return _to_float(value)
    if annotation in (bool, str, NoneType) or annotation is None:
        return _exactly(annotation, value)
    if annotation is int:
        return _to_int(value)
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Literal:
        return _to_literal(arguments, value)
    if origin in (Union, UnionType):
        return _to_one_of(arguments, value)
    if origin in (list, tuple, Sequence) and type(value) is list:
        return _to_items(origin, arguments, value)
    if annotation == dict[str, Any] and type(value) is dict:
        return value
    return DOUBTFUL


def _exactly(expected: Any, value: Any) -> Any:
    """A truth value, a text of ASCII or None."""
    if expected is None:
        expected = NoneType
    if type(value) is not expected:
        return DOUBTFUL
    if expected is str and not value.isascii():
        return DOUBTFUL
    return value


def _to_int(value: Any) -> Any:
    if type(value) is int and abs(value) < LARGEST:
        return value
    return DOUBTFUL


def _to_float(value: Any) -> Any:
    if type(value) is int and abs(value) < LARGEST:
        return float(value)
    if type(value) is float and math.isfinite(value):
        return value
    return DOUBTFUL


def _to_literal(choices: Sequence[Any], value: Any) -> Any:
    """One of the choices, of the same type."""
    for choice in choices:
        if type(choice) is type(value) and choice == value and type(value) in (str, int):
            return choice
    return DOUBTFUL


def _to_one_of(options: Sequence[Any], value: Any) -> Any:
    """A value as the one type of several that it can have."""
    if type(value) is int and int in options:
        return _to_int(value)  # rather than a float
    possible = []
    for option in options:
        converted = convert(option, value)
        if converted is not DOUBTFUL:
            possible.append(converted)
    if len(possible) == 1 and all(_is_clear(option, value) for option in options):
        return possible[0]
    return DOUBTFUL


def _is_clear(option: Any, value: Any) -> bool:
    """Whether a type either takes a value as it is, or surely does not take it."""
    if convert(option, value) is not DOUBTFUL:
        return True
    origin = get_origin(option)
    if option in (int, float):
        return type(value) not in (int, float)
    if option in (bool, str, NoneType) or option is None:
        return type(value) is not option
    if origin is Literal:
        return type(value) in (str, int, list, dict, NoneType)
    if origin in (list, tuple, Sequence):
        return type(value) is not list
    if origin is dict:
        return type(value) is not dict
    return False


def _to_items(origin: Any, arguments: Sequence[Any], values: list[Any]) -> Any:
    """A list, or a tuple of any or of a fixed number of items."""
    types = list(arguments)
    if origin is not tuple or arguments[1:] == (Ellipsis,):
        types = [arguments[0]] * len(values)
    if len(types) != len(values):
        return DOUBTFUL
    items = [convert(one, value) for one, value in zip(types, values, strict=True)]
    if any(item is DOUBTFUL for item in items):
        return DOUBTFUL
    if origin is tuple:
        return tuple(items)
    return items
