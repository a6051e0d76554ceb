"""Compare what nodes make, and say in words where it differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

Array: TypeAlias = np.ndarray[Any, Any]
Values: TypeAlias = dict[str, Any]
"""Arrays and other values by the name of their port, or of a state by its own names."""
CLOSE = 1e-5
"""Relative tolerance of results that may differ in the order of float64 sums."""


def hold(condition: object, owner: Any, what: str) -> None:
    """Raise AssertionError, with the name of the owner's class, unless the condition holds."""
    if not condition:
        cls = owner if isinstance(owner, type) else type(owner)
        raise AssertionError(f"{cls.__name__}: {what}")


def agree(got: Any, want: Any, owner: Any, when: str, rtol: float = 0.0) -> None:
    """Raise AssertionError that says what differs, and ``when``, unless both values agree."""
    where = difference(got, want, rtol)
    hold(not where, owner, f"{where} {when}")


def as_numpy(value: Any) -> Array:
    """An array of any library as NumPy's (bfloat16, which NumPy lacks, becomes float32)."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
    return np.asarray(value)


def difference(got: Any, want: Any, rtol: float = 0.0) -> str:
    """What differs, in words; empty where both agree. NaN agrees with NaN.

    Args:
        got: An array, a number, or mappings and lists of them.
        want: What it should be.
        rtol: Tolerance relative to the largest value; 0 for equality bit for bit.

    >>> difference({"scores": np.zeros(2)}, {"scores": np.ones(2)})
    "'scores' differs by up to 1 (of at most 1)"
    """
    if isinstance(want, Mapping) and isinstance(got, Mapping):
        return _mapping_difference(got, want, rtol)
    if isinstance(want, list | tuple) and isinstance(got, list | tuple):
        return _list_difference(got, want, rtol)
    return _array_difference(as_numpy(got), as_numpy(want), rtol)


def _mapping_difference(got: Mapping[Any, Any], want: Mapping[Any, Any], rtol: float) -> str:
    unmatched = sorted(map(str, got.keys() ^ want.keys()))
    if unmatched:
        return f"the names {', '.join(unmatched)} are on one side only"
    for name in want:
        where = difference(got[name], want[name], rtol)
        if where:
            return f"{name!r} {where}"
    return ""


def _list_difference(got: Sequence[Any], want: Sequence[Any], rtol: float) -> str:
    if len(got) != len(want):
        return f"has {len(got)} items instead of {len(want)}"
    for number, (one, other) in enumerate(zip(got, want, strict=True)):
        where = difference(one, other, rtol)
        if where:
            return f"item {number} {where}"
    return ""


def _array_difference(got: Array, want: Array, rtol: float) -> str:
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"is {got.dtype} {got.shape} instead of {want.dtype} {want.shape}"
    if got.dtype.kind not in "fc":
        wrong = int(np.sum(got != want))
        if wrong:
            return f"differs in {wrong} of {got.size} values"
        return ""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(want)
        largest = float(np.abs(want[finite]).max(initial=0.0))
        if np.allclose(got, want, rtol=rtol, atol=rtol * largest, equal_nan=True):
            return ""
        apart = np.abs(got[finite] - want[finite]).max(initial=0.0)
    return f"differs by up to {apart:.3g} (of at most {largest:.3g})"
