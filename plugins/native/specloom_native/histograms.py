"""Fine histograms of bands, of all rows and of those of one class."""

from __future__ import annotations

from ctypes import c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom_native.arguments import as_flags, as_rows, as_vector, library

MOST_BINS = 1 << 16
"""Bins are numbered in 16 bits."""


class Histograms:
    """Adds rows to histograms of bins of one width, in one sweep for both.

    The bin of a value is the whole number next to value * scale + shift - 2^23 in float32, at
    least 0 and below ``bins``.

    Args:
        bands: The numbers of the bands that have such bins, int64 (K,), in rising order.
        scale: Of each of them, float32 (K,).
        shift: Of each of them, float32 (K,).
        bins: The number of bins of a histogram, at most 65536.

    Raises:
        ValueError: Shapes do not fit, or there are more bins.
    """

    def __init__(self, bands: Tensor, scale: Tensor, shift: Tensor, bins: int) -> None:
        count = bands.numel()
        self.bins = bins
        self.bands = bands.detach().to(device="cpu", dtype=torch.int64).reshape(-1).contiguous()
        if count and (int(self.bands.min()) < 0 or not 1 <= bins <= MOST_BINS):
            raise ValueError(f"bands begin at {int(self.bands.min())}, with {bins} bins")
        self._last = int(self.bands.max()) if count else -1
        self._library = library()
        behind = self._library.sums("histograms_width")(c_int64(count)) - count
        self._scale = pad(as_vector(scale.reshape(-1), count, torch.float32, "scale"), (0, behind))
        self._shift = pad(as_vector(shift.reshape(-1), count, torch.float32, "shift"), (0, behind))
        self._work_size = self._library.sums("histograms_work")(c_int64(count), c_int64(bins))

    def __call__(
        self, rows: Tensor, keep: Tensor, rare: Tensor, whole: Tensor, part: Tensor
    ) -> None:
        """Count ``rows`` (N, C).

        Args:
            rows: Float32; those in ``keep`` are finite.
            keep: The rows to count, bool (N,).
            rare: Those of the class, bool (N,).
            whole: The counts of all, int32 (K, bins); they are added to.
            part: Those of the class.

        Raises:
            ValueError: Shapes or types do not fit.
        """
        taken = as_rows(rows)
        pointer, count, stride, bands = taken.arguments
        if taken.type_name != "float" or bands <= self._last:
            raise ValueError(f"rows are {rows.dtype} {tuple(rows.shape)}")
        for counts in (whole, part):
            fits = counts.shape == (len(self.bands), self.bins) and counts.is_contiguous()
            if not fits or counts.dtype != torch.int32 or counts.device.type != "cpu":
                raise ValueError(f"counts are {counts.dtype} {tuple(counts.shape)}")
        counted = as_flags(keep, count, "keep")
        rares = as_flags(rare, count, "rare")
        if counted is None or rares is None:
            raise ValueError("keep and rare are needed")
        work = torch.empty(self._work_size, dtype=torch.uint8)
        self._library.sums("histograms")(
            c_void_p(pointer),
            c_int64(count),
            c_int64(stride),
            c_void_p(counted.data_ptr()),
            c_void_p(rares.data_ptr()),
            c_void_p(self.bands.data_ptr()),
            c_int64(len(self.bands)),
            c_void_p(self._scale.data_ptr()),
            c_void_p(self._shift.data_ptr()),
            c_int64(self.bins),
            c_void_p(whole.data_ptr()),
            c_void_p(part.data_ptr()),
            c_void_p(work.data_ptr()),
        )
