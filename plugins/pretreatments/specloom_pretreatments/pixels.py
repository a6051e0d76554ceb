"""Functions of spectra, applied to cubes in blocks, with bits that no batch or tile changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom_statistics import BandProduct

# A pixel's result must not depend on its place in a block: 960 is a multiple of all widths of
# register tiles in use, and the last block of an image is filled up to the full size.
CPU_ROWS = 960
GPU_ROWS = 15360
# Values of a block without products: few enough for the cache, many enough for the calls.
CPU_VALUES = 1 << 19
GPU_VALUES = 1 << 24
LARGE = 1 << 22
"""Bytes from which NumPy requests large pages."""

Cubes: TypeAlias = Tensor | LazyAffine | LazyLinear


class Treated(NamedTuple):
    """What a function makes of some spectra."""

    spectra: Tensor
    """(N, C) or wider, in the type of the spectra that came."""
    undefined: Tensor | None = None
    """Which have no result though they are finite, bool (N,); None where all have one."""


class Result(NamedTuple):
    """What a function makes of cubes."""

    cubes: Tensor
    """(B, H, W, C), in the type of the data."""
    undefined: Tensor
    """How many pixels have no result though they are finite, ()."""


Treat: TypeAlias = Callable[[Tensor], Treated]
"""A function of spectra (N, width)."""

TreatInto: TypeAlias = Callable[[Tensor, Tensor | None], Treated]
"""A function of spectra (N, C), and of the memory for its result; None for new memory."""


def treat_in_double(
    data: Cubes, treat: Treat, *, width: int | None = None, rows: int | None = None
) -> Result:
    """Apply a function to every pixel, in float64 and in blocks of one size; differentiable.

    A pixel that is not finite in every band gets NaN in every band.

    Args:
        data: (B, H, W, C), of any real type; the map of lazy data is applied in float64.
        treat: The function.
        width: Columns of the blocks, filled up with zeros; None for C.
        rows: Rows of the blocks of a function that makes no products, so that the last block need
            not be filled up; None for full blocks that suit products with a matrix.
    """
    channels = data.shape[-1]
    raw = data if isinstance(data, Tensor) else data.data
    if _needs_gradients(data):
        return _treat_with_gradients(data, treat, width or channels)
    size = rows
    if size is None:
        size = CPU_ROWS if raw.device.type == "cpu" else GPU_ROWS
    block = torch.zeros(size, width or channels, dtype=torch.float64, device=raw.device)
    cubes = new_memory(data.shape, data.dtype, raw.device)
    undefined = torch.zeros((), dtype=torch.int64, device=raw.device)
    load = _Loader(data)
    for image, result in zip(raw, cubes, strict=True):
        pixels = image.reshape(-1, raw.shape[-1])
        results = result.view(-1, channels)
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            count = len(part)
            load(part, block[:count, :channels])
            spectra = block
            if rows is None:
                block[count:] = 0
            else:
                spectra = block[:count]
            # 0 where every band is finite, else NaN.
            spoilt = spectra.sum(1, keepdim=True).mul_(0)
            treated = treat(spectra)
            results_of_part = treated.spectra[:count, :channels]
            torch.add(results_of_part, spoilt[:count], out=results[start : start + count])
            if treated.undefined is not None:
                lost = treated.undefined[:count] & (spoilt[:count, 0] == 0)
                undefined += lost.sum()
    return Result(cubes, undefined)


def treat_in_own_type(data: Tensor, treat: TreatInto) -> Result:
    """Apply a function to every pixel, in the type of the data and in blocks; differentiable.

    Args:
        data: (B, H, W, C).
        treat: The function; no spectrum may depend on others in its block.
    """
    channels = data.shape[-1]
    undefined = torch.zeros((), dtype=torch.int64, device=data.device)
    rows = data.reshape(-1, channels)
    if torch.is_grad_enabled() and data.requires_grad:
        treated = treat(rows, None)
        if treated.undefined is not None:
            undefined = treated.undefined.sum()
        return Result(treated.spectra.view(data.shape), undefined)
    cubes = new_memory(data.shape, data.dtype, data.device)
    results = cubes.view(-1, channels)
    values = CPU_VALUES if data.device.type == "cpu" else GPU_VALUES
    step = max(values // channels, 1)
    for start in range(0, len(rows), step):
        treated = treat(rows[start : start + step], results[start : start + step])
        if treated.undefined is not None:
            undefined += treated.undefined.sum()
    return Result(cubes, undefined)


def treat_bands(data: Cubes, scale: Tensor, offset: Tensor) -> Tensor:
    """``data * scale + offset`` by band, computed in float64, in the type of the data.

    What is not finite becomes NaN, in its band.

    Args:
        data: (B, H, W, C).
        scale: (C,), float64.
        offset: (C,), float64.
    """
    tensors = [scale, offset]
    if torch.is_grad_enabled() and (
        _needs_gradients(data) or any(t.requires_grad for t in tensors)
    ):
        values = computed(data, torch.float64)
        scaled = torch.where(values.isfinite(), values, torch.nan) * scale + offset
        return scaled.to(data.dtype)
    raw = data if isinstance(data, Tensor) else data.data
    channels = data.shape[-1]
    cubes = new_memory(data.shape, data.dtype, raw.device)
    load = _Loader(data)
    size = CPU_ROWS if raw.device.type == "cpu" else GPU_ROWS
    block = torch.empty(size, channels, dtype=torch.float64, device=raw.device)
    for image, result in zip(raw, cubes, strict=True):
        pixels = image.reshape(-1, raw.shape[-1])
        results = result.view(-1, channels)
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            values = block[: len(part)]
            load(part, values)
            values.mul_(scale).add_(offset)
            # Adding 0 * value turns an infinity into NaN and changes nothing else.
            torch.add(values, values, alpha=0, out=results[start : start + len(part)])
    return cubes


def _needs_gradients(data: Cubes) -> bool:
    """Whether gradients shall reach the data, or the map of lazy data."""
    if not torch.is_grad_enabled():
        return False
    if isinstance(data, Tensor):
        return data.requires_grad
    tensors = [part for part in data[:3] if isinstance(part, Tensor)]
    return any(tensor.requires_grad for tensor in tensors)


def _treat_with_gradients(data: Cubes, treat: Treat, width: int) -> Result:
    values = computed(data, torch.float64)
    channels = values.shape[-1]
    rows = values.reshape(-1, channels)
    usable = rows.detach().sum(1, keepdim=True).isfinite()
    filled = torch.nn.functional.pad(torch.where(usable, rows, 0), (0, width - channels))
    treated = treat(filled)
    spectra = torch.where(usable, treated.spectra[:, :channels], torch.nan)
    undefined = torch.zeros((), dtype=torch.int64, device=rows.device)
    if treated.undefined is not None:
        undefined = (treated.undefined & usable[:, 0]).sum()
    return Result(spectra.to(data.dtype).view(values.shape), undefined)


class _Loader:
    """Copies pixels into a block of float64, under the map of lazy data."""

    def __init__(self, data: Cubes) -> None:
        self._data = data
        if isinstance(data, LazyLinear):
            self._product = BandProduct(data.matrix)

    def __call__(self, part: Tensor, out: Tensor) -> None:
        """Write the values of ``part`` (N, bands) to ``out`` (N, C)."""
        data = self._data
        if isinstance(data, LazyLinear):
            out.copy_(self._mapped(part)[: len(part), : out.shape[1]]).add_(data.offset)
            return
        out.copy_(part)
        if isinstance(data, LazyAffine):
            out.mul_(data.scale).add_(data.offset)

    def _mapped(self, part: Tensor) -> Tensor:
        product = self._product
        count = CPU_ROWS if part.device.type == "cpu" else GPU_ROWS
        # Products of one size, as all that is multiplied here.
        rows = torch.zeros(
            len(part) + -len(part) % count,
            product.row_width,
            dtype=torch.float64,
            device=part.device,
        )
        rows[: len(part), : product.bands] = part
        out = torch.empty(len(rows), product.product_width, dtype=rows.dtype, device=rows.device)
        for start in range(0, len(rows), count):
            product(rows[start : start + count], out[start : start + count])
        spoilt = rows.sum(1, keepdim=True).mul_(0)
        return out.add_(spoilt)


def computed(data: Cubes, dtype: torch.dtype | None = None) -> Tensor:
    """The values of data that may be lazy, (B, H, W, C), all of them in memory; differentiable.

    Args:
        data: The data.
        dtype: The type of the values; None for that of the data.
    """
    if dtype is None:
        dtype = data.dtype
    if isinstance(data, Tensor):
        return data.to(dtype)
    raw = data.data.double()
    values: Tensor
    if isinstance(data, LazyAffine):
        values = raw * data.scale + data.offset
    else:
        values = raw @ data.matrix.double().T + data.offset
    return values.to(dtype)


def images_of(data: Cubes) -> Iterator[Tensor]:
    """The values of each image, (H, W, C) in float64 where the data are lazy."""
    if isinstance(data, Tensor):
        yield from data
        return
    for image in data.data:
        yield computed(data._replace(data=image), torch.float64)


def new_memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a result, with any content.

    On the CPU it comes from NumPy, which asks the system for large pages; torch does not, and the
    first touch of many small pages takes longer than the arithmetic.
    """
    size = dtype.itemsize
    for length in shape:
        size *= length
    if device.type != "cpu" or size < LARGE:
        return torch.empty(shape, dtype=dtype, device=device)
    raw = np.empty(size, np.uint8)
    return torch.from_numpy(raw).view(dtype).view(shape)
