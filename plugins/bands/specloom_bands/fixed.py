"""Selection by wavelengths that are known beforehand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from specloom import Batch, ConfigError, DataError
from specloom_bands.base import BandSelectorBase
from specloom_bands.info import band_record
from specloom_bands.nearest import band_centres, nearest

if TYPE_CHECKING:
    from torch import Tensor

FAR = 20.0
"""Nanometres beyond which the nearest band hardly stands for the wavelength that is wanted."""


class FixedBandSelector(BandSelectorBase):
    """Takes the bands nearest to three wavelengths, which a subclass defines.

    The choice follows from the wavelengths alone: it is made at the first batch, and again only
    where other wavelengths come. ``band_info`` is one record of plain numbers.
    """

    strategy = ""
    tolerance_nm: float | None = None
    _record: tuple[tuple[object, ...], dict[str, Any]] | None = None

    def _targets(self) -> tuple[float, ...]:
        """The wavelengths that become red, green and blue."""
        return ()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        targets = self._targets()
        if len(targets) != 3 or not all(map(_is_nanometres, targets)):
            raise ConfigError(
                f"{self.label}: the wavelengths are {list(targets)}",
                fix="set three wavelengths in nm, for red, green and blue",
            )
        tolerance = self.tolerance_nm
        if tolerance is not None and not tolerance >= 0:
            raise ConfigError(
                f"{self.label}: tolerance_nm is {tolerance}",
                fix="set a distance in nm, or remove it",
            )

    def forward(self, cube: Tensor, wavelengths: Tensor, valid: Tensor | None = None) -> Batch:
        """Compose the picture of (B, H, W, C) ``cube``.

        Raises:
            DataError: A band is farther away than ``tolerance_nm``, or the wavelengths are not nm.
        """
        record = self._chosen(band_centres(wavelengths, cube.shape[-1]))
        rgb = self._compose_rgb(cube, record["band_indices"], valid)
        # A copy, so that a change to it does not reach the next batch.
        return {"rgb_image": rgb, "band_info": deepcopy(record)}

    def _chosen(self, centres: Sequence[float]) -> dict[str, Any]:
        """The record of the choice, stored while wavelengths and parameters are the same."""
        key = (self.tolerance_nm, self._targets(), tuple(centres))
        if self._record is None or self._record[0] != key:
            self.build({})
            self._record = (key, self._choose(centres))
        return self._record[1]

    def _choose(self, centres: Sequence[float]) -> dict[str, Any]:
        """The record of the bands nearest to the targets.

        Raises:
            DataError: A band is farther away than ``tolerance_nm``.
        """
        targets = self._targets()
        indices = [nearest(centres, target) for target in targets]
        record = band_record(self.strategy, indices, centres, targets)
        for target, found, distance in zip(
            record["target_wavelengths_nm"],
            record["band_wavelengths_nm"],
            record["distance_nm"],
            strict=True,
        ):
            what = (
                f"{self.label}: the data have no band at {target:g} nm: the nearest of "
                f"{min(centres):g} to {max(centres):g} nm is at {found:g} nm, {distance:g} nm away"
            )
            if self.tolerance_nm is not None and distance > self.tolerance_nm:
                raise DataError(
                    f"{what} (tolerance_nm is {self.tolerance_nm:g})",
                    fix=f"choose another wavelength, or a tolerance_nm of {distance:g} or more",
                )
            if distance > FAR:
                warnings.warn(what, stacklevel=2)
        return record


def _is_nanometres(value: float) -> bool:
    """Whether a wavelength can be in nm: below 10 it would be in micrometres."""
    return math.isfinite(value) and value >= 10
