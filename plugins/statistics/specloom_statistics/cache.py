"""A value that is computed from tensors, and again when one of them changes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class TensorCache(Generic[T]):
    """The last computed value, for as long as all that it was computed from stays the same."""

    _value: T
    _sources: tuple[object, ...] = ()
    _versions: tuple[object, ...] = ()

    def __call__(self, compute: Callable[[], T], *sources: object) -> T:
        """The same as ``compute()``, without gradients.

        Args:
            compute: Computes the value from ``sources``.
            sources: Tensors, and values that never change.
        """
        versions = tuple([_version(source) for source in sources])
        same_versions = versions == self._versions
        same_objects = same_versions and all(map(operator.is_, sources, self._sources))
        if not same_objects:
            # In a mode whose tensors can be used in any other.
            with torch.inference_mode(False), torch.no_grad():
                self._value = compute()
            self._sources = sources
            self._versions = versions
        return self._value


def _version(source: object) -> object:
    """A number that differs after a change in place; for inference tensors a new object."""
    if not isinstance(source, Tensor):
        return None
    if source.is_inference():
        return object()
    return source._version
