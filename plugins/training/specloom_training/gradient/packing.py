"""Nested state as tensors by name and values that JSON holds, and back; never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

TENSOR, TUPLE, PAIRS = "tensor", "tuple", "pairs"


def packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` for JSON; its tensors go into ``tensors``, under names that begin with ``name``.

    >>> packed({0: (1, None)}, "state", {})
    {'pairs': [[0, {'tuple': [1, None]}]]}
    """
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone()
        return {TENSOR: name}
    if isinstance(value, list | tuple):
        items = [packed(one, f"{name}/{i}", tensors) for i, one in enumerate(value)]
        return items if isinstance(value, list) else {TUPLE: items}
    if isinstance(value, dict):
        return {PAIRS: [[k, packed(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    return value


def unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What ``packed`` was given."""
    if isinstance(value, list):
        return [unpacked(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == TENSOR:
        return tensors[inner].clone()
    if kind == TUPLE:
        return tuple(unpacked(one, tensors) for one in inner)
    return {key: unpacked(one, tensors) for key, one in inner}


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's state without the functions that it makes anew."""
    return {key: value for key, value in state.items() if _holds_values(value)}


def _holds_values(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_holds_values, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_holds_values, value))
    return value is None or isinstance(value, bool | int | float | str | Tensor)
