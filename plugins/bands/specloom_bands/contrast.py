"""How much a band of an image shows: its variance and its edges."""

from __future__ import annotations

import torch
from torch import Tensor

# Values of one image at a time: temporaries in float64 stay in a core's cache.
BLOCK = 1 << 18


def contrast(cube: Tensor, alpha: float, valid: Tensor | None = None) -> Tensor:
    """Variance + alpha * mean absolute Laplacian of each image and band, float64 (B, C).

    The Laplacian is the sum of the differences to the four neighbours; one that is missing, at
    the border of the image or because it is not usable, counts as equal to the pixel itself
    (without such pixels: ``scipy.ndimage.laplace(band, mode="reflect")``). Mean and variance
    (population) are those of the usable pixels of the band: finite there, and valid. A band
    without any gives -inf.

    An image gives the same bits whatever else is in the batch, and equal bands give equal bits.

    Args:
        cube: The cubes, (B, H, W, C).
        alpha: The weight of the edges.
        valid: Pixels that count, bool (B, H, W, 1); None for all.
    """
    height = cube.shape[1]
    step = max(BLOCK // max(cube.shape[2] * cube.shape[3], 1), 1)
    starts = range(0, height, step)
    # With the minimum taken off, the variance loses at most a factor N (pixels) to cancellation
    # (Samuelson's inequality), and constant bands give exactly 0.
    minima = [_rows(cube, valid, i, i + step, torch.inf).amin((1, 2)) for i in starts]
    low = torch.stack(minima).amin(0).double()[:, None, None]
    count = torch.zeros_like(low[:, 0, 0])
    total = torch.zeros_like(count)
    squares = torch.zeros_like(count)
    edges = torch.zeros_like(count)
    for start in starts:
        end = min(start + step, height)
        first = max(start - 1, 0)  # with a row of neighbours on either side
        last = min(end + 1, height)
        rows = _rows(cube, valid, first, last, torch.nan).double() - low
        inner = slice(start - first, end - first)
        laplacian = _laplacian(rows)[:, inner]
        values = rows[:, inner]
        count = count + _sum_pixels((values == values).double())  # NaN is not equal to itself
        values = values.nan_to_num(nan=0.0)
        total = total + _sum_pixels(values)
        squares = squares + _sum_pixels(values * values)
        edges = edges + _sum_pixels(laplacian.abs_())
    mean = total / count
    variance = (squares / count - mean * mean).clamp(min=0)
    return torch.where(count > 0, variance + alpha * (edges / count), -torch.inf)


def _rows(cube: Tensor, valid: Tensor | None, first: int, last: int, other: float) -> Tensor:
    """Some rows of the cube, with ``other`` for what is not finite or not valid."""
    rows = cube[:, first:last]
    usable = rows * 0 == 0  # neither NaN nor infinite, quicker than isfinite
    if valid is not None:
        usable = usable & valid[:, first:last]
    return torch.where(usable, rows, other)


def _laplacian(rows: Tensor) -> Tensor:
    """The Laplacian inside (B, h, W, C) ``rows``; differences to NaN count as 0."""
    down = (rows[:, 1:] - rows[:, :-1]).nan_to_num_(nan=0.0)
    right = (rows[:, :, 1:] - rows[:, :, :-1]).nan_to_num_(nan=0.0)
    laplacian = torch.zeros_like(rows)
    laplacian[:, :-1] += down
    laplacian[:, 1:] -= down
    laplacian[:, :, :-1] += right
    laplacian[:, :, 1:] -= right
    return laplacian


def _sum_pixels(values: Tensor) -> Tensor:
    """The sum over the pixels, (B, C) of (B, h, W, C), in an order that nothing else changes.

    ``torch.sum`` adds in another order for another batch size, device or number of threads;
    halving by elementwise additions does not.
    """
    values = values.flatten(1, 2)
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        halves = values[:, :half] + values[:, half : 2 * half]
        if values.shape[1] % 2 == 1:
            halves[:, :1] += values[:, -1:]
        values = halves
    return values[:, 0]
