"""Sums of weighted products of rows."""

from __future__ import annotations

from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from specloom_native.arguments import NAMES, as_rows, as_vector, library


def weighted_products(rows: Tensor, center: Tensor, factors: Tensor) -> Tensor:
    """The sums of f d d^T over rows x with their factors f, d being x - center and a 1 behind it.

    Products are made in the type of the factors, and summed in float64.

    Args:
        rows: Float32 or float64, (N, C); those with a factor of 0 may hold what they like.
        center: (C,).
        factors: Float32 or float64, float64 if the rows are, (N,).

    Returns:
        The upper triangle of the sums, (C + 1, C + 1); below it anything.

    Raises:
        ValueError: Shapes or types do not fit.
    """
    taken = as_rows(rows)
    pointer, count, stride, bands = taken.arguments
    dtype = factors.dtype
    if dtype not in NAMES or factors.shape != (count,) or factors.device.type != "cpu":
        raise ValueError(f"rows are {tuple(rows.shape)}, factors {dtype} {tuple(factors.shape)}")
    if dtype == torch.float32 and taken.values.dtype != torch.float32:
        raise ValueError(f"rows are {rows.dtype}, factors float32")
    kernels = library()
    name = NAMES[dtype]
    width = kernels.products(f"weighted_width_{name}")(c_int64(bands))
    sums = torch.empty(width, width, dtype=torch.float64)
    work = torch.empty(kernels.products(f"weighted_work_{name}")(c_int64(bands)), dtype=dtype)
    centers = as_vector(center, bands, dtype, "center")
    each = factors.detach().contiguous()
    kernels.products(f"weighted_{taken.type_name}_{name}")(
        c_void_p(pointer),
        c_int64(count),
        c_int64(stride),
        c_int64(bands),
        c_void_p(centers.data_ptr()),
        c_void_p(each.data_ptr()),
        c_void_p(sums.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    return sums[: bands + 1, : bands + 1]
