"""Kernels in C, where the package specloom-native is installed and its library runs."""

from __future__ import annotations

from types import ModuleType

import torch


def native_kernels(device: torch.device | str = "cpu") -> ModuleType | None:
    """The package ``specloom_native`` where its kernels run, for tensors on a device; else None."""
    if torch.device(device).type != "cpu":
        return None
    try:
        import specloom_native
    except ImportError:
        return None
    if specloom_native.native_library() is None:
        return None
    return specloom_native
