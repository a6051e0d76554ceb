"""Nested state as tensors by name and values that JSON holds, and back; never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

TENSOR = "tensor"
TUPLE = "tuple"
PAIRS = "pairs"


def to_json(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` for JSON; its tensors go into ``tensors``, under names that begin with ``name``.

    >>> to_json({0: (1, None)}, "state", {})
    {'pairs': [[0, {'tuple': [1, None]}]]}
    """
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone()
        return {TENSOR: name}
    if isinstance(value, list):
        return [to_json(one, f"{name}/{i}", tensors) for i, one in enumerate(value)]
    if isinstance(value, tuple):
        return {TUPLE: to_json(list(value), name, tensors)}
    if isinstance(value, dict):
        pairs = [[key, to_json(one, f"{name}/{key}", tensors)] for key, one in value.items()]
        return {PAIRS: pairs}
    return value


def from_json(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value from which ``to_json`` made ``value`` and ``tensors``."""
    if isinstance(value, list):
        return [from_json(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == TENSOR:
        return tensors[inner].clone()
    if kind == TUPLE:
        return tuple(from_json(one, tensors) for one in inner)
    return {key: from_json(one, tensors) for key, one in inner}


def without_functions(state: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's state without the functions that it makes again itself."""
    return {key: value for key, value in state.items() if _holds_values(value)}


def _holds_values(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_holds_values, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_holds_values, value))
    return value is None or isinstance(value, bool | int | float | str | Tensor)
