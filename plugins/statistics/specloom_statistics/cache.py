"""A value that is computed from tensors, and again when one of them changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

CONSTANT = -1
"""The version of what never changes."""
UNKNOWN = -2
"""The version of a tensor that does not count its changes."""


class TensorCache(Generic[T]):
    """The last computed value, for as long as all that it was computed from stays the same."""

    _value: T
    _sources: tuple[object, ...] | None = None
    _versions: Sequence[int] = ()

    def __call__(self, compute: Callable[[], T], *sources: object) -> T:
        """The same as ``compute()``, without gradients.

        Args:
            compute: Computes the value from ``sources``.
            sources: Tensors, and values that never change.
        """
        if not self._is_current(sources):
            # In a mode whose tensors can be used in any other.
            with torch.inference_mode(False), torch.no_grad():
                self._value = compute()
            self._sources = sources
            self._versions = [_version(source) for source in sources]
        return self._value

    def __getstate__(self) -> dict[str, object]:
        """Nothing: a copy, or another process, computes the value again."""
        return {}

    def _is_current(self, sources: tuple[object, ...]) -> bool:
        """Whether these are the same objects as before, and none was changed in place."""
        if self._sources is None or len(sources) != len(self._sources):
            return False
        for source, known, version in zip(sources, self._sources, self._versions, strict=True):
            if source is not known or version == UNKNOWN:
                return False
            if version != CONSTANT and source._version != version:  # type: ignore[attr-defined]  # it is a tensor
                return False
        return True


def _version(source: object) -> int:
    """A number that differs after a change in place; inference tensors have none."""
    if not isinstance(source, Tensor):
        return CONSTANT
    if source.is_inference():
        return UNKNOWN
    version: int = source._version
    return version


class EqualTensors:
    """Small tensors of the CPU, replaced by equal ones of the call before.

    Nodes that make the same maps and weights again for each batch then do not make a
    ``TensorCache`` compute again. Others come back as they are.
    """

    def __init__(self) -> None:
        self._last: list[Tensor | None] = []

    def __call__(self, values: Sequence[object]) -> list[object]:
        """The values, each as a copy of its own that nothing changes where it is such a tensor.

        Args:
            values: As many and in the order of the call before.
        """
        before = self._last
        if len(before) != len(values):
            before = [None] * len(values)
        self._last = [_copy_of(*pair) for pair in zip(values, before, strict=True)]
        found: list[object] = []
        for value, copied in zip(values, self._last, strict=True):
            found.append(value if copied is None else copied)
        return found

    def __getstate__(self) -> dict[str, object]:
        """Nothing: a copy, or another process, compares with its own calls."""
        return {"_last": []}


def _copy_of(value: object, before: Tensor | None) -> Tensor | None:
    """The earlier copy of an equal tensor, or a new one; None for what is not compared."""
    if not isinstance(value, Tensor) or value.device.type != "cpu":
        return None
    if before is not None and before.dtype == value.dtype and torch.equal(before, value):
        return before
    # In a mode whose tensors can be used in any other.
    with torch.inference_mode(False):
        return value.detach().clone()
