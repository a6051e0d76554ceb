"""Affine maps of rows to a few components."""

from __future__ import annotations

from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from specloom_native.arguments import as_rows, as_vector, library

MOST_COMPONENTS = 12
"""With more components than this, a product of matrices is faster."""

LANES = 4


class Projection:
    """The map x -> A x + b of rows x, in float64; NaN for a row that is not finite.

    Args:
        matrix: A, (K, C).
        bias: b, (K,); None for zeros.

    Raises:
        ValueError: Shapes do not fit.
    """

    def __init__(self, matrix: Tensor, bias: Tensor | None = None) -> None:
        if matrix.dim() != 2:
            raise ValueError(f"the matrix is {tuple(matrix.shape)}, not (K, C)")
        self.components, self.bands = matrix.shape
        self._library = library()
        group = self._library.sums("projection_group")()
        width = self._library.sums("projection_width")(c_int64(self.bands))
        filled = torch.zeros(self.components + -self.components % group, width, dtype=torch.float64)
        filled[: self.components, : self.bands] = matrix.detach()
        # By group of components, by four bands, by component, by band.
        parts = filled.view(-1, group, width // LANES, LANES).transpose(1, 2)
        self._matrix = parts.contiguous()
        self._bias = torch.zeros(len(filled), dtype=torch.float64)
        if bias is not None:
            self._bias[: self.components] = as_vector(bias, self.components, torch.float64, "bias")

    def __call__(self, rows: Tensor, out: Tensor) -> None:
        """Write the components of ``rows`` (N, C) into ``out`` (N, K).

        Args:
            rows: Float32 or float64, as ``out``.
            out: In one piece.

        Raises:
            ValueError: Shapes or types do not fit.
        """
        taken = as_rows(rows)
        pointer, count, stride, bands = taken.arguments
        fits = bands == self.bands and out.shape == (count, self.components)
        if not fits or not out.is_contiguous() or out.device.type != "cpu":
            raise ValueError(f"rows are {tuple(rows.shape)}, out is {tuple(out.shape)}")
        if out.dtype != taken.values.dtype:
            raise ValueError(f"rows are {rows.dtype}, out is {out.dtype}")
        self._library.sums(f"project_{taken.type_name}")(
            c_void_p(pointer),
            c_int64(count),
            c_int64(stride),
            c_int64(bands),
            c_void_p(self._matrix.data_ptr()),
            c_void_p(self._bias.data_ptr()),
            c_int64(self.components),
            c_void_p(out.data_ptr()),
        )
