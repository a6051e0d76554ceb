"""Chains of affine maps, pixel by pixel, in blocks whose size never changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, leaky_relu_, linear

from specloom import LazyAffine, LazyLinear
from specloom.torch import map_blocks, no_memory
from specloom_statistics import native_kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A pixel's result must not depend on its place in a block, nor on its neighbours. That holds when
# every product has the same shape and no row falls into the remainder of a register tile:
# 960 is a multiple of all tile widths in use (8, 12, 16, 24, 32, 48), and the last block of an
# image is filled up to the full size. Few bands take up to 4 times as many rows, as long as rows
# times bands times 4 channels are below the million up to which OpenBLAS copies nothing.
# Bands are filled up for aligned rows, channels because an odd number of them is slower.
CPU_BLOCK = 960
GPU_BLOCK = 15360
CPU_VALUES = 250_000
BAND_STEP = 16
CHANNEL_STEP = 4
# Columns of a product where wider ones depend on the row, see `_same_for_every_row`.
NARROW_COLUMNS = 8
# Values that a thread takes at a time.
PART_VALUES = 1 << 19
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}

Layer: TypeAlias = tuple[Tensor, Tensor | None]
"""A matrix (out, in) and a bias (out,), or None for zeros."""


def map_pixels(
    data: Tensor | LazyAffine | LazyLinear, layers: Sequence[Layer], slope: float = 1.0
) -> Tensor:
    """x -> A x + b of every pixel, layer by layer, as (B, K, H * W) in the type of ``data``.

    Products are in the wider type of ``data`` and the matrices. Between two layers values below
    zero are multiplied by ``slope``. A pixel that is not finite in every band gets NaN and leaves
    the others as they are. With gradients plain differentiable operations are used, which may
    round otherwise; pixels that are not finite then do not spoil the gradients of the others.

    Args:
        data: (B, H, W, C); the first layer absorbs the map of a ``LazyAffine`` or, in float64, of a
            ``LazyLinear``.
        layers: One or more; K is the length of the last one.
        slope: Of the LeakyReLU between layers; 1 for none.
    """
    dtype = torch.promote_types(data.dtype, layers[0][0].dtype)
    result_dtype = data.dtype
    center = None
    if isinstance(data, LazyLinear):
        # The bands of a derivative are small differences of large numbers.
        dtype = torch.float64
    wide = [_convert(layer, dtype) for layer in layers]
    if isinstance(data, LazyAffine):
        data, center, first = _absorb_map(data, *layers[0])
        center = center.to(dtype)
        wide[0] = _convert(first, dtype)
    elif isinstance(data, LazyLinear):
        data, first = _absorb_linear(data, *layers[0])
        wide[0] = first
    tensors = [data]
    for matrix, bias in wide:
        tensors.append(matrix)
        if bias is not None:
            tensors.append(bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _map_with_gradients(data, center, wide, slope, result_dtype)
    return _map_in_blocks(data, center, wide, slope, result_dtype)


def map_centred(data: Tensor, center: Tensor, layer: Layer) -> Tensor:
    """(x - center) A^T + b of every pixel, (B, K, H * W), in the type of all; without gradients."""
    return _map_in_blocks(data.detach(), center, [layer], 1.0, data.dtype)


def _convert(layer: Layer, dtype: torch.dtype) -> Layer:
    matrix, bias = layer
    if bias is not None:
        bias = bias.to(dtype)
    return matrix.to(dtype), bias


def _absorb_map(
    data: LazyAffine, matrix: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Layer]:
    """Raw data, what to subtract from them, and the layer that then equals ``matrix``, ``bias``.

    With what the map sends to zero subtracted, float32 loses no more digits than after the map.
    """
    matrix = matrix.double()
    scale, offset = (part.to(matrix).expand(matrix.shape[1]) for part in (data.scale, data.offset))
    center = (-offset / scale).detach().to(data.dtype).double()
    center = torch.where(center.isfinite(), center, 0)
    shift = matrix @ (offset + scale * center)
    if bias is not None:
        shift = shift + bias
    return data.data, center, (matrix * scale, shift)


def _absorb_linear(data: LazyLinear, matrix: Tensor, bias: Tensor | None) -> tuple[Tensor, Layer]:
    """Raw data, and the layer that then equals the linear map, ``matrix`` and ``bias``."""
    matrix = matrix.double()
    offset = torch.as_tensor(data.offset).to(matrix).expand(matrix.shape[1])
    shift = matrix @ offset
    if bias is not None:
        shift = shift + bias
    return data.data, (matrix @ data.matrix.to(matrix), shift)


def _map_with_gradients(
    data: Tensor, center: Tensor | None, layers: Sequence[Layer], slope: float, dtype: torch.dtype
) -> Tensor:
    usable = data.detach().sum(-1).isfinite()[:, None].flatten(2)
    values = data.nan_to_num(0, 0, 0).to(layers[0][0].dtype)
    if center is not None:
        values = values - center
    for i, (matrix, bias) in enumerate(layers):
        if i:
            values = leaky_relu(values, slope)
        values = linear(values, matrix, bias)
    results = values.to(dtype).flatten(1, 2).mT
    return torch.where(usable, results, torch.nan)


class _Step(NamedTuple):
    """One layer in working memory: results = values @ factor + added."""

    values: _Matrix
    factor: _Matrix
    added: Tensor
    results: _Matrix


def _prepare_steps(rows: _Matrix, layers: Sequence[Layer]) -> list[_Step]:
    """The steps from ``rows`` through all layers, filled up with zeros."""
    steps = []
    values = rows
    block, _ = rows.tensor.shape
    device = rows.tensor.device
    for matrix, bias in layers:
        outputs, inputs = matrix.shape
        columns = outputs + -outputs % CHANNEL_STEP
        factor = _Matrix(values.tensor.shape[1], columns, matrix.dtype, device)
        factor.tensor[:inputs, :outputs] = matrix.T
        added = factor.tensor.new_zeros(columns)
        if bias is not None:
            added[:outputs] = bias
        results = _Matrix(block, columns, matrix.dtype, device)
        steps.append(_Step(values, factor, added, results))
        values = results
    return steps


def _block_rows(width: int, device: torch.device) -> int:
    if device.type != "cpu":
        return GPU_BLOCK
    return CPU_BLOCK * min(max(CPU_VALUES // (CPU_BLOCK * width), 1), 4)


class _Memory(NamedTuple):
    """What a thread works in."""

    rows: _Matrix
    steps: list[_Step]


def _map_in_blocks(
    data: Tensor, center: Tensor | None, layers: Sequence[Layer], slope: float, dtype: torch.dtype
) -> Tensor:
    images, height, width, bands = data.shape
    channels = len(layers[-1][0])
    results = torch.empty(images, height * width, channels, dtype=dtype, device=data.device)
    kernel = None
    if len(layers) == 1:
        kernel = _native_projection(data, center, layers[0], dtype)

    def map_rows(pixels: Tensor, result: Tensor) -> None:
        if kernel is None:
            _map_rows(pixels, center, layers, slope, result)
        else:
            _project_rows(pixels, kernel, result)

    if data.is_contiguous():
        map_rows(data.view(-1, bands), results.view(-1, channels))
    else:
        # Data that do not lie in one piece are copied image by image.
        for image, result in zip(data, results, strict=True):
            map_rows(image.reshape(-1, bands), result)
    return results.mT


def projects_natively(device: torch.device, components: int) -> bool:
    """Whether projections on so many components are made by a kernel, in float64."""
    kernels = native_kernels(device)
    return kernels is not None and components <= kernels.MOST_COMPONENTS


def _native_projection(
    data: Tensor, center: Tensor | None, layer: Layer, dtype: torch.dtype
) -> Any:
    """The kernel for a map in float64 to a few channels; None where there is none."""
    matrix, bias = layer
    matrix = matrix.detach()
    is_float64 = matrix.dtype == torch.float64 and data.dtype == dtype and dtype in NUMPY
    if not is_float64 or not projects_natively(data.device, len(matrix)):
        return None
    added = matrix.new_zeros(len(matrix))
    if bias is not None:
        added = bias.detach()
    if center is not None:
        added = added - matrix @ center
    kernels = native_kernels(data.device)
    return None if kernels is None else kernels.Projection(matrix, added)


def _project_rows(pixels: Tensor, kernel: Any, results: Tensor) -> None:
    """Write the projections of ``pixels`` (N, C) into ``results`` (N, K)."""
    count, bands = pixels.shape
    step = max(PART_VALUES // bands, 1)
    starts = range(0, count, step)

    def project_part(number: int, _: None) -> None:
        place = slice(starts[number], starts[number] + step)
        kernel(pixels[place], results[place])

    map_blocks(project_part, len(starts), no_memory)


def _map_rows(
    pixels: Tensor, center: Tensor | None, layers: Sequence[Layer], slope: float, results: Tensor
) -> None:
    """Write the mapped ``pixels`` (N, C) into ``results`` (N, K)."""
    count, bands = pixels.shape
    columns = bands + -bands % BAND_STEP
    block = _block_rows(columns, pixels.device)
    step = count
    if pixels.device.type == "cpu":
        step = max(PART_VALUES // (columns * block), 1) * block
    starts = range(0, count, max(step, 1))

    def new_memory() -> _Memory:
        rows = _Matrix(block, columns, layers[0][0].dtype, pixels.device)
        return _Memory(rows, _prepare_steps(rows, layers))

    def map_part(number: int, memory: _Memory) -> None:
        end = min(starts[number] + step, count)
        with np.errstate(all="ignore"):  # NaN and infinities may come
            for start in range(starts[number], end, block):
                place = slice(start, min(start + block, end))
                _map_block(pixels[place], center, memory, slope, results[place])

    map_blocks(map_part, len(starts), new_memory)


def _map_block(
    pixels: Tensor, center: Tensor | None, memory: _Memory, slope: float, results: Tensor
) -> None:
    rows = memory.rows.tensor
    size, bands = pixels.shape
    used = rows[:size, :bands]
    if center is None:
        used.copy_(pixels)
    elif pixels.dtype == rows.dtype:
        torch.sub(pixels, center, out=used)
    else:
        used.copy_(pixels).sub_(center)
    rows[size:].zero_()
    _run_steps(memory.steps, slope)
    last = memory.steps[-1].results.tensor[:size, : results.shape[1]]
    # Adding 0 * value turns an infinity into NaN and changes nothing else.
    torch.add(last, last, alpha=0, out=results)


def _run_steps(steps: Sequence[_Step], slope: float) -> None:
    for i, step in enumerate(steps):
        if i:
            leaky_relu_(step.values.tensor, slope)
        step.results.set_product(step.values, step.factor)
        step.results.tensor.add_(step.added)


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
            step = NARROW_COLUMNS
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


def to_channels_last(results: Tensor, data: Tensor | LazyAffine | LazyLinear) -> Tensor:
    """The (B, K, H * W) of ``map_pixels`` as (B, H, W, K), for ``data`` (B, H, W, C)."""
    return results.mT.reshape(*data.shape[:-1], results.shape[1]).contiguous()
