"""Checks of what is handed to kernels: a wrong address would be read or written to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from specloom_native.loading import Library, native_library

NAMES = {torch.float32: "float", torch.float64: "double"}


class Rows(NamedTuple):
    """Rows as kernels take them."""

    values: Tensor
    """Float32 or float64 (N, C); the values of a row lie side by side."""
    type_name: str
    """``float`` or ``double``."""

    @property
    def arguments(self) -> tuple[int, int, int, int]:
        """Address, number, distance in values, and length of the rows."""
        count, bands = self.values.shape
        return self.values.data_ptr(), count, self.values.stride(0), bands


def library() -> Library:
    """The loaded library.

    Raises:
        RuntimeError: The pure engine runs.
    """
    found = native_library()
    if found is None:
        raise RuntimeError("the pure engine runs, see native_library()")
    return found


def as_rows(values: Tensor) -> Rows:
    """Rows of any real type (N, C) as kernels take them, copied only where that is needed.

    Raises:
        ValueError: They are not on the CPU, or have no two dimensions.
    """
    values = values.detach()
    if values.device.type != "cpu" or values.dim() != 2:
        raise ValueError(f"rows are {tuple(values.shape)} on {values.device}, not (N, C) on cpu")
    if values.dtype not in NAMES:
        values = values.double()
    if not is_taken_as_it_is(values):
        values = values.contiguous()
    return Rows(values, NAMES[values.dtype])


def is_taken_as_it_is(values: Tensor) -> bool:
    """Whether kernels can read rows (N, C) without a copy, by their type and how they lie."""
    lies_in_rows = values.dim() == 2 and (values.shape[1] <= 1 or values.stride(1) == 1)
    return values.dtype in NAMES and lies_in_rows


def as_flags(flags: Tensor | None, count: int, name: str) -> Tensor | None:
    """One bool a row, in one piece.

    Raises:
        ValueError: They are of another length, type or device.
    """
    if flags is None:
        return None
    if flags.dtype != torch.bool or flags.shape != (count,) or flags.device.type != "cpu":
        raise ValueError(f"{name} is {flags.dtype} {tuple(flags.shape)}, not bool ({count},)")
    return flags.contiguous()


def as_vector(values: Tensor, size: int, dtype: torch.dtype, name: str) -> Tensor:
    """A vector of one number, or of ``size`` numbers, as one of ``size`` numbers in one piece.

    Raises:
        ValueError: It is of another length.
    """
    values = values.detach().to(device="cpu", dtype=dtype)
    if values.numel() == 1:
        return values.reshape(1).expand(size).contiguous()
    if values.shape != (size,):
        raise ValueError(f"{name} is {tuple(values.shape)}, not ({size},)")
    return values.contiguous()


def address(values: Tensor | None) -> int | None:
    """Where a tensor lies; None for a null pointer."""
    return None if values is None else values.data_ptr()
