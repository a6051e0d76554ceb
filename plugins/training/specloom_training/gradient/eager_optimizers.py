"""Optimisers of torch without the compiler of ``torch.compile``.

Adding parameters to an optimiser of torch, a step and its state each import ``torch._dynamo``, to
exclude themselves from compiled code. Nothing here is compiled, and the import takes 1.4 s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch.optim import Optimizer

NEVER_COMPILED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""The methods that torch excludes from compiled code, besides ``step``."""


def eager(cls: type[Optimizer]) -> type[Optimizer]:
    """The same optimiser, whose methods are those within torch's decorators.

    A method without a decorator stays as it is.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(cls, name)) for name in NEVER_COMPILED}
    methods["step"] = _without_gradients(inspect.unwrap(cls.step))
    methods["__doc__"] = cls.__doc__
    methods["__module__"] = cls.__module__
    return type(cls.__name__, (cls,), methods)


def _without_gradients(step: Callable[..., Any]) -> Callable[..., Any]:
    def eager_step(self: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        with torch.no_grad():
            return step(self, closure)

    return eager_step
