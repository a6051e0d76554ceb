"""Chains of affine maps, pixel by pixel, in blocks whose size never changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, leaky_relu_, linear

from specloom import LazyAffine

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A pixel's result must not depend on its place in a block, nor on its neighbours. That holds when
# every product has the same shape and no row falls into the remainder of a register tile:
# 960 is a multiple of all tile widths in use (8, 12, 16, 24, 32, 48), and the last block of an
# image is filled up to the full size. Few bands take up to 4 times as many rows, as long as rows
# times bands times 4 channels are below the million up to which OpenBLAS copies nothing.
# Bands are filled up for aligned rows, channels because an odd number of them is slower.
CPU_BLOCK, GPU_BLOCK, VALUES = 960, 15360, 250_000
BANDS, CHANNELS = 16, 4
# Columns of a product where wider ones depend on the row, see `_same_for_every_row`.
NARROW = 8
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}

Layer: TypeAlias = tuple[Tensor, Tensor | None]
"""A matrix (out, in) and a bias (out,), or None for zeros."""


def pixel_maps(data: Tensor | LazyAffine, layers: Sequence[Layer], slope: float = 1.0) -> Tensor:
    """x -> A x + b of every pixel, layer by layer, as (B, K, H * W) in the type of ``data``.

    Products are in the wider type of ``data`` and the matrices. Between two layers values below
    zero are multiplied by ``slope``. A pixel that is not finite in every band gets NaN and leaves
    the others as they are. With gradients plain differentiable operations are used, which may
    round otherwise; pixels that are not finite then do not spoil the gradients of the others.

    Args:
        data: (B, H, W, C); the first layer takes in the map of a ``LazyAffine``.
        layers: One or more; K is the length of the last one.
        slope: Of the LeakyReLU between layers; 1 for none.
    """
    dtype = torch.promote_types(data.dtype, layers[0][0].dtype)
    wide = [(a.to(dtype), None if b is None else b.to(dtype)) for a, b in layers]
    kind, center = data.dtype, None
    if isinstance(data, LazyAffine):
        data, center, layer = _taking_in(data, *layers[0])
        center, wide[0] = center.to(dtype), (layer[0].to(dtype), layer[1].to(dtype))
    tracked = [data, *(part for layer in wide for part in layer if part is not None)]
    if torch.is_grad_enabled() and any(part.requires_grad for part in tracked):
        return _differentiable(data, center, wide, slope, kind)
    return _blocked(data, center, wide, slope, kind)


def _taking_in(
    data: LazyAffine, matrix: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Raw data, what to subtract from them, and the layer that then equals ``matrix``, ``bias``.

    With what the map sends to zero subtracted, float32 keeps the digits that it would have kept.
    """
    matrix = matrix.double()
    scale, offset = (part.to(matrix).expand(matrix.shape[1]) for part in (data.scale, data.offset))
    center = (-offset / scale).detach().to(data.dtype).double()
    center = torch.where(center.isfinite(), center, 0)
    shift = matrix @ (offset + scale * center)
    return data.data, center, (matrix * scale, shift if bias is None else shift + bias)


def _differentiable(
    data: Tensor, center: Tensor | None, layers: Sequence[Layer], slope: float, kind: torch.dtype
) -> Tensor:
    usable = data.detach().sum(-1).isfinite()[:, None].flatten(2)
    values = data.nan_to_num(0, 0, 0).to(layers[0][0].dtype)
    values = values if center is None else values - center
    for i, (matrix, bias) in enumerate(layers):
        values = linear(leaky_relu(values, slope) if i else values, matrix, bias)
    results = values.to(kind).flatten(1, 2).mT
    return torch.where(usable, results, torch.nan)


def _blocked(
    data: Tensor, center: Tensor | None, layers: Sequence[Layer], slope: float, kind: torch.dtype
) -> Tensor:
    dtype, device, bands = layers[0][0].dtype, data.device, data.shape[-1]
    width, channels = bands + -bands % BANDS, len(layers[-1][0])
    block = CPU_BLOCK * min(max(VALUES // (CPU_BLOCK * width), 1), 4)
    block = block if device.type == "cpu" else GPU_BLOCK
    rows = _Matrix(block, width, dtype, device)
    values, steps = rows, list[tuple[_Matrix, _Matrix, Tensor, _Matrix]]()
    for matrix, bias in layers:
        factor = _Matrix(
            values.tensor.shape[1], -(-len(matrix) // CHANNELS) * CHANNELS, dtype, device
        )
        factor.tensor[: matrix.shape[1], : len(matrix)] = matrix.T
        added = factor.tensor.new_zeros(factor.tensor.shape[1])
        if bias is not None:
            added[: len(bias)] = bias
        made = _Matrix(block, len(added), dtype, device)
        steps.append((values, factor, added, made))
        values = made
    shape = len(data), data.shape[1] * data.shape[2], channels
    results = torch.empty(shape, dtype=kind, device=device)
    for image, result in zip(data, results, strict=True):
        pixels = image.reshape(-1, bands)
        for start in range(0, len(pixels), block):
            part = pixels[start : start + block]
            used = rows.tensor[: len(part), :bands].copy_(part)
            if center is not None:
                used.sub_(center)
            if len(part) < block:
                rows.tensor[len(part) :].zero_()
            for i, (before, factor, added, made) in enumerate(steps):
                if i:
                    leaky_relu_(before.tensor, slope)
                made.set_product(before, factor)
                made.tensor.add_(added)
            # Adding 0 * value turns an infinity into NaN and changes nothing else.
            last = values.tensor[: len(part), :channels]
            torch.add(last, last, alpha=0, out=result[start : start + block])
    return results.mT


class _Matrix:
    """A matrix of zeros; on the CPU NumPy multiplies it, which with few columns is twice as fast.

    The memory is NumPy's from the start, so that no tensor is converted.
    """

    def __init__(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> None:
        self.array: NDArray[Any] | None = None
        if device.type == "cpu" and dtype in NUMPY:
            self.array = np.zeros((rows, columns), NUMPY[dtype])
            self.tensor = torch.from_numpy(self.array)
        else:
            self.tensor = torch.zeros(rows, columns, dtype=dtype, device=device)

    def set_product(self, left: _Matrix, right: _Matrix) -> None:
        """Become left @ right."""
        if self.array is None or left.array is None or right.array is None:
            torch.mm(left.tensor, right.tensor, out=self.tensor)
            return
        columns = right.array.shape[1]
        step = columns
        if not _same_for_every_row(left.array.shape, columns, left.array.dtype):
            step = NARROW
        with np.errstate(all="ignore"):  # NaN and infinities may come
            for start in range(0, columns, step):
                part = slice(start, start + step)
                np.matmul(left.array, right.array[:, part], out=self.array[:, part])


@cache
def _same_for_every_row(shape: tuple[int, int], columns: int, dtype: np.dtype[Any]) -> bool:
    """Whether this machine's product of these sizes gives equal rows for equal rows.

    OpenBLAS for Haswell, also used where it is chosen on newer processors, works on tiles of 16
    columns by 12 rows in float32 and rounds the second six rows otherwise than the first six.
    """
    random = np.random.default_rng(0)
    rows = np.empty(shape, dtype)
    rows[:] = random.standard_normal(shape[1])
    factor = random.standard_normal((shape[1], columns)).astype(dtype)
    product = rows @ factor
    return bool((product == product[0]).all())


def channels_last(results: Tensor, data: Tensor | LazyAffine) -> Tensor:
    """The (B, K, H * W) of ``pixel_maps`` as (B, H, W, K), for ``data`` (B, H, W, C)."""
    return results.mT.reshape(*data.shape[:-1], results.shape[1]).contiguous()
