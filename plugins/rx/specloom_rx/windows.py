"""Scores from the pixels around each pixel, between an inner and an outer window.

The sums of products over all outer windows come from partial sums of rows, as in M. van Herk,
Pattern Recognition Letters 13(7), 1992: a window of L rows is the end of one block of L rows and
the start of the next. Only additions make them, of values shifted to the mean, so that the weak
directions of the covariances survive. What the inner window takes away is subtracted; where digits
are lost in it, the covariance of the pixel is computed from its ring directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_rx.whitening import eigen_whitening, scale_to_correlation
from specloom_statistics import varying_bands

# Bytes of the sums over the ends of a block of rows; on a CPU they stay in its cache, with the few
# covariances that are factorised together.
CPU_BYTES = 1 << 24
GPU_BYTES = 1 << 31
# Pixels whose covariance is computed directly at a time.
DIRECT_PIXELS = 32
# The rounding of the sums, over the pivot of a band, above which a covariance is computed directly.
PIVOT_ROUNDING = 1e-6
# A band whose scatter, over its sum of squares, is not above this may be constant in the ring.
CONSTANT_SCATTER = 1e-10


class Rings(NamedTuple):
    """What belongs to the ring around a pixel, and how its covariance is regularised."""

    inner: int
    """Rows and columns of the inner window, odd."""
    outer: int
    """Rows and columns of the outer window, odd."""
    least: int
    """The usable pixels below which there is no score."""
    shrinkage: float
    """Relative to the mean variance of the bands."""


class Span(NamedTuple):
    """Windows of one size along an axis, each shifted to lie in the image."""

    size: int
    starts: list[int]
    """Where the window of each pixel starts."""

    @property
    def windows(self) -> int:
        """How many different windows there are."""
        return self.starts[-1] + 1


class Axis(NamedTuple):
    """The windows along the rows or the columns of an image."""

    inner: Span
    outer: Span


class Part(NamedTuple):
    """Some columns of an image."""

    rows: Tensor
    """(H, w, C + 1): values minus ``shift``, and 1; 0 where a pixel may not be used."""
    pixels: Tensor
    """(H, w, C): values minus ``shift`` of all pixels."""
    shift: Tensor
    """(C,)."""
    bands: Tensor
    """The bands that vary in the image, bool (C,)."""


class RowScores(NamedTuple):
    """The scores of a row of a part."""

    scores: Tensor
    """(n,)."""
    doubtful: Tensor
    """Whose covariance has to be computed directly, bool (n,)."""


def span(length: int, window: int) -> Span:
    """The windows along an axis of this length."""
    size = min(window, length)
    last = length - size
    starts = [min(max(place - window // 2, 0), last) for place in range(length)]
    return Span(size, starts)


def local_scores(image: Tensor, valid: Tensor | None, rings: Rings) -> Tensor:
    """Squared Mahalanobis distances of the pixels from their rings, float64 (H, W).

    Args:
        image: (H, W, C), of any real type.
        valid: The pixels that the rings may use, bool (H, W, 1); None for all.
        rings: The windows.
    """
    finite = usable_pixels(image)
    usable = finite if valid is None else finite & valid[..., 0]
    bands = _varying_in_image(image, usable)
    rows = Axis(span(image.shape[0], rings.inner), span(image.shape[0], rings.outer))
    columns = Axis(span(image.shape[1], rings.inner), span(image.shape[1], rings.outer))
    step = _windows_per_part(image, rows.outer.size)
    parts = []
    for first in range(0, columns.outer.windows, step):
        last = min(first + step, columns.outer.windows) - 1
        region = slice(first, last + columns.outer.size)
        part = _load(image[:, region], usable[:, region], bands)
        places = [
            place for place, start in enumerate(columns.outer.starts) if first <= start <= last
        ]
        parts.append(PartScorer(part, rows, columns, places, rings).scores())
    return torch.where(finite, torch.cat(parts, 1), torch.nan)


def _varying_in_image(image: Tensor, usable: Tensor) -> Tensor:
    """The bands that have two values among the usable pixels, bool (C,)."""
    values = image.double()
    low = torch.where(usable[..., None], values, torch.inf).amin((0, 1))
    high = torch.where(usable[..., None], values, -torch.inf).amax((0, 1))
    return high > low


def _windows_per_part(image: Tensor, rows: int) -> int:
    size = CPU_BYTES if image.device.type == "cpu" else GPU_BYTES
    columns = image.shape[2] + 1
    return max(size // (8 * rows * columns * columns), 1)


def _load(image: Tensor, usable: Tensor, bands: Tensor) -> Part:
    values = image.double()
    used = usable[..., None]
    count = usable.sum().clamp(min=1)
    shift = torch.where(used, values, 0).sum((0, 1)) / count
    pixels = torch.where(bands, values - shift, 0)
    rows = torch.cat([torch.where(used, pixels, 0), used.double()], 2)
    return Part(rows, pixels, shift, bands)


def window_products(rows: Tensor, vertical: Span, width: int) -> Iterator[Tensor]:
    """Yield x x^T, summed over the windows that start in each row in turn, (N, D, D).

    Args:
        rows: x, (H, w, D).
        vertical: The windows along the rows.
        width: The columns of a window.
    """
    height = vertical.size
    windows = rows.unfold(1, width, 1)
    count = windows.shape[1]
    size = rows.shape[2]
    ends = rows.new_empty(height, count, size, size)
    for block in range(0, vertical.windows, height):
        below: Tensor = rows.new_zeros(count, size, size)
        for row in reversed(range(height)):
            added = windows[block + row]
            below = torch.baddbmm(below, added, added.mT, out=ends[row])
        start = rows.new_zeros(count, size, size)
        for row in range(min(height, vertical.windows - block)):
            if row:
                added = windows[block + height + row - 1]
                start.baddbmm_(added, added.mT)
            yield ends[row] + start


class PartScorer:
    """The scores of some columns of an image.

    Args:
        part: The columns that belong to their outer windows.
        rows: The windows along the rows of the image.
        columns: Those along its columns.
        places: The columns of the image to score; the first outer window starts with the part.
        rings: How the covariances are regularised.
    """

    def __init__(
        self, part: Part, rows: Axis, columns: Axis, places: list[int], rings: Rings
    ) -> None:
        self.part = part
        self.rows = rows
        self.columns = columns
        self.rings = rings
        place = torch.tensor(places)
        outer_start = torch.tensor(columns.outer.starts)[place]
        inner_start = torch.tensor(columns.inner.starts)[place]
        first = outer_start[0]
        device = part.rows.device
        self.places = (place - first).to(device)
        self.outer_starts = (outer_start - first).to(device)
        self.inner_starts = (inner_start - first).to(device)

    def scores(self) -> Tensor:
        """(H, n)."""
        rows_of_window: dict[int, list[int]] = {}
        for row, start in enumerate(self.rows.outer.starts):
            rows_of_window.setdefault(start, []).append(row)
        found = []
        products = window_products(self.part.rows, self.rows.outer, self.columns.outer.size)
        for start, outer in enumerate(products):
            of_columns = outer
            if len(outer) < len(self.places):
                of_columns = outer[self.outer_starts]
            found += [self._score_row(row, of_columns) for row in rows_of_window[start]]
        scores = torch.stack([row.scores for row in found])
        doubtful = torch.stack([row.doubtful for row in found])
        for row, places in places_by_row(doubtful):
            scores[row, places] = self._score_directly(row, places)
        return scores

    def _score_row(self, row: int, outer: Tensor) -> RowScores:
        """The scores of one row with the sums over the outer windows, (n, D, D)."""
        bands = self.part.bands
        inner = self._inner_pixels(row)
        ring = torch.baddbmm(outer, inner.mT, inner, alpha=-1)
        count = ring[:, -1, -1]
        sums = ring[:, :-1, -1]
        mean = sums / count.clamp(min=1)[:, None]
        scatter = ring[:, :-1, :-1].addcmul_(mean[:, :, None], sums[:, None, :], value=-1)
        squares = outer.diagonal(dim1=1, dim2=2)[:, :-1]
        deviations = scatter.diagonal(dim1=1, dim2=2)
        may_be_constant = deviations <= CONSTANT_SCATTER * squares
        freedom = (count - 1).clamp(min=1)[:, None]
        ridge = self.rings.shrinkage * deviations.sum(1, keepdim=True) / bands.sum().clamp(min=1)
        # Bands that do not vary get a variance of 1; their gap from the mean is 0.
        deviations.add_(torch.where(bands, ridge, 1))
        # Transposed, it is in LAPACK's order of memory.
        lower, failed = torch.linalg.cholesky_ex(scatter.mT)
        gap = self.part.pixels[row, self.places] - mean
        white = torch.linalg.solve_triangular(lower, gap[..., None], upper=False)[..., 0]
        scores = white.square().sum(1) * freedom[:, 0]
        pivots = lower.diagonal(dim1=1, dim2=2).square()
        rounding = torch.finfo(torch.float64).eps * squares > PIVOT_ROUNDING * pivots
        doubtful = ((rounding | may_be_constant) & bands).any(1) | (failed != 0)
        enough = count >= self.rings.least
        return RowScores(torch.where(enough, scores, torch.nan), doubtful & enough)

    def _inner_pixels(self, row: int) -> Tensor:
        """The pixels of the inner windows of a row, (n, P, D)."""
        top = self.rows.inner.starts[row]
        strip = self.part.rows[top : top + self.rows.inner.size]
        windows = strip.unfold(1, self.columns.inner.size, 1)[:, self.inner_starts]
        return windows.permute(1, 0, 3, 2).flatten(1, 2)

    def _score_directly(self, row: int, places: Tensor) -> Tensor:
        """The scores of some pixels of a row, (m,), by two passes over the pixels of each ring."""
        top = self.rows.outer.starts[row]
        strip = self.part.rows[top : top + self.rows.outer.size]
        windows = strip.unfold(1, self.columns.outer.size, 1)
        down = _inside(self.rows, torch.tensor(self.rows.inner.starts[row] - top), strip.device)
        scores = []
        for some in torch.split(places, DIRECT_PIXELS):
            starts = self.outer_starts[some]
            across = _inside(self.columns, self.inner_starts[some] - starts, strip.device)
            inner = down[None, :, None] & across[:, None, :]
            around = windows[:, starts].permute(1, 0, 3, 2)
            in_ring = (around[..., -1] > 0) & ~inner
            pixels = self.part.pixels[row, self.places[some]]
            rows = around[..., :-1].flatten(1, 2)
            scores.append(self._distances(pixels, rows, in_ring.flatten(1)))
        return torch.cat(scores)

    def _distances(self, pixels: Tensor, around: Tensor, in_ring: Tensor) -> Tensor:
        """Squared distances of ``pixels`` (m, C) from ``around`` (m, P, C) where ``in_ring``."""
        used = in_ring[..., None]
        count = used.sum(1)
        mean = torch.where(used, around, 0).sum(1) / count
        centred = torch.where(used, around - mean[:, None], 0)
        covariance = centred.mT @ centred / (count - 1)[..., None]
        bands = self.part.bands & varying_bands(mean + self.part.shift, covariance)
        matrix, factor = scale_to_correlation(covariance, bands, 0.0, self.rings.shrinkage)
        whitening = eigen_whitening(matrix, factor)
        white = (pixels - mean)[:, None] @ whitening
        return white.square().sum((1, 2))


def _inside(axis: Axis, start: Tensor, device: torch.device) -> Tensor:
    """Which places of an outer window lie in the inner one that starts there, (..., size)."""
    steps = torch.arange(axis.outer.size, device=device) - start.to(device)[..., None]
    return (steps >= 0) & (steps < axis.inner.size)


def places_by_row(mask: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield each row of ``mask``, bool (H, n), that has a True, and the places of those, (m,).

    On a GPU the host waits for it once.
    """
    device = mask.device
    if device.type != "cpu":
        mask = mask.cpu()
    on_host = np.from_dlpack(mask)
    for row in np.flatnonzero(on_host.any(1)).tolist():
        places = torch.from_numpy(np.flatnonzero(on_host[row]))
        yield row, places.to(device)
