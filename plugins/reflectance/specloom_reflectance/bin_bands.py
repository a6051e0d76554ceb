"""Means of neighbouring bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, LazyLinear, Output, node
from specloom.torch import TorchNode, buffer
from specloom_cubes import bin_map
from specloom_reflectance.band_maps import lazy_bands, map_bands


@node
class BinBands(TorchNode):
    """Averages neighbouring bands; the last bin may have fewer.

    A pixel that is not finite in every band is NaN. ``binning`` of the sources averages pixels.

    Args:
        size: The number of bands in a bin.
        num_bins: The number of bins; it follows from the others.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``size`` is below 1, or ``num_bins`` is another number than that of the bins.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    wavelengths_in = Input(
        "num_channels",
        "real",
        unit="nm",
        optional=True,
        host=True,
        doc="Band centres.",
        name="wavelengths",
    )
    binned = Output("B H W num_bins", doc="The means of the bands of each bin.")
    wavelengths = Output("num_bins", unit="nm", optional=True, host=True, doc="Their centres.")
    locality = "pixel"
    affine_input = "data"
    linear_input = "data"
    linear_output = "binned"
    example: ClassVar[Mapping[str, object]] = {"size": 3}

    size: int = 2
    num_bins: int | None = None
    num_channels: int | None = None

    matrix = buffer()

    @classmethod
    def sizes(cls, params: Mapping[str, Any], known: Mapping[str, int]) -> Mapping[str, int]:
        """The number of bins."""
        size = params.get("size", 2)
        if size < 1:
            return {}
        return {"num_bins": -(-known["num_channels"] // size)}

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the size of a bin."""
        if self.size < 1:
            raise ConfigError(f"{self.label}: size is {self.size}", fix="set size to 1 or more")
        matrix = bin_map(sizes["num_channels"], self.size).matrix
        if self.num_bins not in (None, len(matrix)):
            raise ConfigError(
                f"{self.label}: num_bins is {self.num_bins}, the data make {len(matrix)} bins",
                fix="remove num_bins",
            )
        self.register_buffer("matrix", torch.from_numpy(matrix))

    def forward(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """Average the bands of (B, H, W, C) ``data``."""
        return self._outputs(map_bands(data, self.matrix), wavelengths)

    def forward_lazy(
        self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor | None = None
    ) -> Batch:
        """As ``forward``, with the map left to the readers."""
        return self._outputs(lazy_bands(data, self.matrix), wavelengths)

    def _outputs(self, binned: object, wavelengths: Tensor | None) -> dict[str, object]:
        if wavelengths is None:
            return {"binned": binned}
        centres = self.matrix.cpu() @ wavelengths.double().cpu()
        return {"binned": binned, "wavelengths": centres.to(torch.float32)}
