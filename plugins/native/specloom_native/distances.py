"""Squared Mahalanobis distances of rows."""

from __future__ import annotations

from collections import deque
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn.functional import pad

from specloom_native.arguments import NAMES, as_rows, as_vector, library


class Distances:
    """The function x -> |(x - center) W - rest|^2 of rows x; NaN for a row that is not finite.

    A row's result does not depend on the other rows, nor on its place among them.

    Args:
        center: (C,).
        whitening: W, (C, R).
        rest: (R,); None for zeros.
        dtype: What is computed in, float64 or float32.
        triangular: W is square and upper triangular.

    Raises:
        ValueError: Shapes do not fit.
    """

    def __init__(
        self,
        center: Tensor,
        whitening: Tensor,
        rest: Tensor | None = None,
        dtype: torch.dtype = torch.float64,
        *,
        triangular: bool = False,
    ) -> None:
        if dtype not in NAMES or whitening.dim() != 2:
            raise ValueError(f"whitening is {tuple(whitening.shape)}, products are in {dtype}")
        self.bands, columns = whitening.shape
        self.dtype = dtype
        self.triangular = triangular
        self._library = library()
        panel = self._library.products(f"distances_panel_{NAMES[dtype]}")()
        # At least one panel: its products make the result of a row that is not finite NaN.
        self._panel_count = max(-(-columns // panel), 1)
        behind = self._panel_count * panel - columns
        self._center = as_vector(center, self.bands, dtype, "center")
        filled = pad(whitening.detach().to(device="cpu", dtype=dtype), (0, behind))
        self._panels = self._pack(filled, panel)
        self._rest = torch.zeros(filled.shape[1], dtype=dtype)
        if rest is not None:
            self._rest[:columns] = as_vector(rest, columns, dtype, "rest")
        self._work_size = self._library.products(f"distances_work_{NAMES[dtype]}")(
            c_int64(self.bands)
        )
        # Working memory that is used again: new memory takes as long as a small image.
        self._works: deque[Tensor] = deque()
        self._functions = {
            rows: self._library.products(f"distances_{NAMES[rows]}_{NAMES[dtype]}")
            for rows in NAMES
            if dtype == torch.float64 or rows == dtype
        }
        self._bands = c_int64(self.bands)
        self._factor = (
            c_void_p(self._center.data_ptr()),
            c_void_p(self._panels.data_ptr()),
            c_int64(self._panel_count),
            c_int64(triangular),
            c_void_p(self._rest.data_ptr()),
        )

    def _pack(self, filled: Tensor, panel: int) -> Tensor:
        """The panels of W, one behind the other, without rows that are zero."""
        parts = []
        for start in range(0, filled.shape[1], panel):
            end = start + panel
            height = min(end, self.bands) if self.triangular else self.bands
            parts.append(filled[:height, start:end].reshape(-1))
        return torch.cat([*parts, filled.new_zeros(1)])

    def __call__(self, rows: Tensor, out: Tensor) -> None:
        """Write the distances of ``rows`` (N, C) into ``out`` (N,).

        Args:
            rows: Float32 or float64, as ``out``; float32 if that is computed in. In one piece they
                may have other dimensions, (..., C), and ``out`` any N elements.
            out: In one piece.

        Raises:
            ValueError: Shapes or types do not fit.
        """
        count = out.numel()
        stride = self.bands
        is_whole = rows.is_contiguous() and rows.numel() == count * self.bands
        if not is_whole or rows.dtype not in NAMES or not rows.is_cpu:
            taken = as_rows(rows)
            rows = taken.values
            stride = rows.stride(0)
            is_whole = len(rows) == count
        fits = is_whole and rows.shape[-1] == self.bands and out.is_contiguous() and out.is_cpu
        if not fits or out.dtype != rows.dtype:
            raise ValueError(f"rows are {tuple(rows.shape)}, out is {out.dtype} {out.shape}")
        if rows.dtype not in self._functions:
            raise ValueError(f"rows are {rows.dtype}, not float32")
        work = self._borrow_work()
        self._functions[rows.dtype](
            c_void_p(rows.data_ptr()),
            c_int64(count),
            c_int64(stride),
            self._bands,
            *self._factor,
            c_void_p(out.data_ptr()),
            c_void_p(work.data_ptr()),
        )
        self._works.append(work)

    def _borrow_work(self) -> Tensor:
        try:
            return self._works.pop()
        except IndexError:
            return torch.empty(self._work_size, dtype=self.dtype)
