"""A base class for nodes that are a fixed linear map of bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from specloom import Internal, LazyLinear
from specloom.torch import TorchNode
from specloom_pretreatments.pixels import Cubes, Treated, treat_in_double
from specloom_statistics import BandProduct

if TYPE_CHECKING:
    from specloom import Batch


class CachedMap(NamedTuple):
    """The map of a node, and what it was made for."""

    key: tuple[object, ...]
    matrix: Tensor
    """(C, C), float64."""
    product: BandProduct


class BandMap(TorchNode):
    """A node whose output is ``matrix @ x`` of the bands x of each pixel.

    Write ``forward`` and ``forward_lazy`` with a map from ``band_map``, so that readers which
    compute with the matrix see the same tensor in every batch.
    """

    _cached_map = Internal[CachedMap | None](None)

    def band_map(self, key: tuple[object, ...], make: Callable[[], Tensor]) -> CachedMap:
        """The map of that key; ``make`` computes its matrix, if the last one had another key."""
        if self._cached_map is None or self._cached_map.key != key:
            # In a mode whose tensors can be used in any other.
            with torch.inference_mode(False), torch.no_grad():
                matrix = make()
                self._cached_map = CachedMap(key, matrix, BandProduct(matrix))
        return self._cached_map

    def apply_map(self, data: Cubes, cached: CachedMap) -> Batch:
        """The products of each pixel of (B, H, W, C) ``data``."""
        product = cached.product

        def multiply(spectra: Tensor) -> Treated:
            if spectra.requires_grad:
                return Treated(spectra[:, : product.bands] @ cached.matrix.T)
            out = spectra.new_empty(len(spectra), product.product_width)
            product(spectra, out)
            return Treated(out)

        result = treat_in_double(data, multiply, width=product.row_width)
        return {"treated": result.cubes}

    def map_lazily(self, data: Cubes, cached: CachedMap) -> Batch:
        """As ``apply_map``, with a ``LazyLinear``."""
        zero = cached.matrix.new_zeros(())
        return {"treated": LazyLinear.of(data, cached.matrix, zero, data.dtype)}
