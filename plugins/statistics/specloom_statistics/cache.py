"""A value that is computed from tensors, and again when one of them changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class _Entry(NamedTuple):
    """A computed value, and what shows whether it is current."""

    value: Any
    sources: tuple[object, ...]
    """Held, so that no other object gets the identity of one."""
    identities: Sequence[int]
    tensors: Sequence[Tensor]
    versions: Sequence[int]
    """Numbers that a tensor counts its changes in place by."""


class TensorCache(Generic[T]):
    """The last computed value, for as long as all that it was computed from stays the same."""

    _entry: _Entry | None = None

    def __call__(self, compute: Callable[[], T], *sources: object) -> T:
        """The same as ``compute()``, without gradients.

        Args:
            compute: Computes the value from ``sources``.
            sources: Tensors, and values that never change.
        """
        entry = self._entry
        if entry is not None and _is_current(entry, sources):
            value: T = entry.value
            return value
        # In a mode whose tensors can be used in any other.
        with torch.inference_mode(False), torch.no_grad():
            value = compute()
        self._entry = _entry_of(value, sources)
        return value

    def __getstate__(self) -> dict[str, object]:
        """Nothing: a copy, or another process, computes the value again."""
        return {}


def _entry_of(value: Any, sources: tuple[object, ...]) -> _Entry | None:
    """What is remembered; None with inference tensors, which do not count their changes."""
    tensors = [source for source in sources if isinstance(source, Tensor)]
    if any(tensor.is_inference() for tensor in tensors):
        return None
    versions = [tensor._version for tensor in tensors]
    return _Entry(value, sources, list(map(id, sources)), tensors, versions)


def _is_current(entry: _Entry, sources: tuple[object, ...]) -> bool:
    """Whether these are the same objects as before, and none was changed in place."""
    if list(map(id, sources)) != entry.identities:
        return False
    return [tensor._version for tensor in entry.tensors] == entry.versions


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
        copies = [_copy_of(*pair) for pair in zip(values, before, strict=True)]
        self._last = copies  # other threads may set it at any time
        found: list[object] = []
        for value, copied in zip(values, copies, strict=True):
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
