"""What all selectors of three bands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from specloom import ConfigError, Input, Output, node, param
from specloom.torch import TorchNode
from specloom_bands.compose import picked, stretched
from specloom_bands.info import BAND_INFO
from specloom_bands.nearest import band_centres, nearest

if TYPE_CHECKING:
    from torch import Tensor


@node
class BandSelectorBase(TorchNode):
    """A node that makes a picture of three bands of a cube and records which ones they are.

    Write ``forward(cube, wavelengths, valid=None)``, which chooses three bands ``indices``, red
    first, and gives ``{"rgb_image": self._compose_rgb(cube, indices, valid), "band_info": record}``
    with a ``record`` of ``band_record``. ``_compose_rgb`` is for subclasses: ``indices`` are plain
    numbers, int64 (3,), or (B, 3) for a choice per image. ``band_centres`` gives the wavelengths
    as plain numbers, ``nearest_band`` the band of one.

    Args:
        stretch: Two quantiles of each image and channel that become 0 and 1, so that a hot pixel
            does not make the picture black; None for the smallest and the largest value.

    Raises:
        ConfigError: ``stretch`` are not two quantiles, 0 <= low < high <= 1.
    """

    cube = Input("B H W C", doc="Cubes of any unit.")
    wavelengths = Input("C", "real", unit="nm", host=True, doc="Band centres, in any order.")
    valid = Input("B H W 1", "bool", optional=True, doc="Pixels that count for the limits.")
    rgb_image = Output(
        "B H W 3", unit="1", doc="Red, green and blue, each image and channel from 0 to 1."
    )
    band_info = Output(BAND_INFO)
    locality = "image"
    example: ClassVar[Mapping[str, object]] = {}
    earlier_defaults: ClassVar[Mapping[str, object]] = {"stretch": None}

    stretch: tuple[float, float] | None = param(default=(0.001, 0.999), kw_only=True)

    def __post_init__(self) -> None:
        if self.stretch is None:
            return
        low, high = self.stretch
        if not 0 <= low < high <= 1:
            raise ConfigError(
                f"{self.label}: stretch is ({low:g}, {high:g})",
                fix="set two quantiles from 0 to 1, the smaller one first, or null",
            )

    def _compose_rgb(
        self, cube: Tensor, indices: Tensor | Sequence[int], valid: Tensor | None = None
    ) -> Tensor:
        """The picture (B, H, W, 3) of the bands ``indices``, red first, scaled to [0, 1].

        Args:
            cube: The cubes, (B, H, W, C).
            indices: Three bands: plain numbers, int64 (3,), or (B, 3) for a choice per image.
            valid: Pixels that give the limits of the scaling, bool (B, H, W, 1).
        """
        return stretched(picked(cube, indices), valid, self.stretch)

    @staticmethod
    def nearest_band(wavelengths: Tensor | Sequence[float], target_nm: float) -> int:
        """The band whose centre is nearest to ``target_nm``; the first one of several.

        Raises:
            DataError: The wavelengths are not positive numbers, or are micrometres.
        """
        return nearest(band_centres(wavelengths), target_nm)
