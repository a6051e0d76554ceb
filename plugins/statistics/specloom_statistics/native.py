"""Kernels in C, where the package specloom-native is installed and its library runs."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import torch

from specloom import RunView, impl


def native_kernels(device: torch.device | str = "cpu") -> ModuleType | None:
    """The package ``specloom_native`` where its kernels run, for tensors on a device; else None."""
    if device != "cpu" and torch.device(device).type != "cpu":
        return None
    package = _package()
    if package is None or package.native_library() is None:
        return None
    return package


@cache
def _package() -> ModuleType | None:
    """The package ``specloom_native``, where it is installed."""
    try:
        import specloom_native
    except ImportError:
        return None
    return specloom_native


def engine_identity() -> str:
    """Which engine computes here: ``pure``, or an instruction set and what the kernels are."""
    kernels = native_kernels()
    if kernels is None:
        return "pure"
    identity: str = kernels.engine().identity
    return identity


class EngineRecord:
    """Writes into ``run.json`` which engine computed: another one may give other last digits."""

    @impl
    def run_started(self, run: RunView) -> None:
        """Note the engine."""
        run.record["kernels"] = engine_identity()
