"""A picture of the bands that show most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from specloom import Batch, ConfigError, DataError, Internal, node
from specloom_bands.base import BandSelectorBase
from specloom_bands.contrast import contrast
from specloom_bands.distinct import best_distinct, can_be_distinct, combinations
from specloom_bands.nearest import band_centres

Window: TypeAlias = tuple[float, float]


class Choice(NamedTuple):
    """What follows from the wavelengths, on the device of the cubes."""

    bands: slice
    """The bands from the first to the last that lie in a window: a view, as copies cost most."""
    allowed: Tensor
    """Which of these N bands lie in which window, bool (3, N); red first."""
    ranks: Tensor
    """The combinations to be compared; see ``best_distinct``."""
    centres: Tensor
    """Their wavelengths, float64 (N,)."""
    targets: Tensor
    """The middles of the windows, float64 (3,)."""


@node
class HighContrastBandSelector(BandSelectorBase):
    """Takes for each image and window the band with the highest variance + alpha * edges.

    Edges are the mean absolute Laplacian over the usable pixels; both are population figures in
    the unit of the data, so ``alpha`` has that unit. Where two windows have the same best band,
    the three distinct bands with the largest sum count. Everything is done on the device.

    ``band_info`` is one record for each image. Its indices (3,), wavelengths and distances are
    tensors on the device, so that nothing waits for them (``.tolist()`` gives plain numbers);
    the target of a window is its middle.

    Args:
        windows: Ranges in nm, ends included, of BLUE, GREEN and RED; the picture is red first.
        alpha: The weight of the edges.

    Raises:
        ConfigError: There are not three ranges of nm, or ``alpha`` is negative.
        DataError: A window has no band (of its own), or the wavelengths are not in nm.
    """

    windows: tuple[Window, Window, Window] = ((440, 500), (500, 580), (610, 700))
    alpha: float = 0.1

    _stored = Internal[tuple[tuple[object, ...], Choice] | None](None)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        if len(self.windows) != 3 or not all(10 <= low <= high for low, high in self.windows):
            raise ConfigError(
                f"{self.label}: windows are {self.windows}",
                fix="set three ranges in nm, (lowest, highest), for blue, green and red",
            )
        if not math.isfinite(self.alpha) or self.alpha < 0:
            raise ConfigError(f"{self.label}: alpha is {self.alpha}", fix="set 0 or more")

    @torch.no_grad()
    def _best(
        self, cube: Tensor, wavelengths: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """The bands (B, 3), and a record for each image."""
        choice = self._choice(band_centres(wavelengths, cube.shape[-1]), cube.device)
        scores = contrast(cube[..., choice.bands], self.alpha, valid)
        places = best_distinct(scores, choice.allowed, choice.ranks)
        bands = places + choice.bands.start
        nearest = choice.centres[places]
        columns = {
            "band_indices": bands,
            "band_wavelengths_nm": nearest,
            "target_wavelengths_nm": choice.targets.expand_as(nearest),
            "distance_nm": (nearest - choice.targets).abs(),
            "contrast": scores.gather(1, places),
        }
        return bands, [_record(columns, image) for image in range(len(cube))]

    def forward(self, cube: Tensor, wavelengths: Tensor, valid: Tensor | None = None) -> Batch:
        """Choose bands for each image of (B, H, W, C) ``cube``, and compose the pictures.

        Raises:
            DataError: A window has no band (of its own), or the wavelengths are not in nm.
        """
        bands, records = self._best(cube, wavelengths, valid)
        return {"rgb_image": self._compose_rgb(cube, bands, valid), "band_info": records}

    def _choice(self, centres: list[float], device: torch.device) -> Choice:
        """What follows from the wavelengths, stored while they are the same."""
        key = (self.windows, device, tuple(centres))
        if self._stored is None or self._stored[0] != key:
            self.build({})
            self._stored = (key, self._choose(centres, device))
        return self._stored[1]

    def _choose(self, centres: list[float], device: torch.device) -> Choice:
        nm = torch.tensor(centres, dtype=torch.float64)
        windows = torch.tensor(self.windows[::-1], dtype=torch.float64)
        allowed = (nm >= windows[:, :1]) & (nm <= windows[:, 1:])
        self._require_bands(allowed, centres)
        used = allowed.any(0).nonzero()
        bands = slice(int(used.min()), int(used.max()) + 1)
        return Choice(
            bands=bands,
            allowed=allowed[:, bands].to(device),
            ranks=combinations(allowed).to(device),
            centres=nm[bands].to(device),
            targets=windows.mean(1).to(device),
        )

    def _require_bands(self, allowed: Tensor, centres: list[float]) -> None:
        """Raise DataError if a window has no band, or none of its own."""
        data = f"the data have {len(centres)} from {min(centres):g} to {max(centres):g} nm"
        for (low, high), inside in zip(self.windows[::-1], allowed, strict=True):
            if not inside.any():
                raise DataError(
                    f"{self.label}: no band lies in the window {low:g} to {high:g} nm: {data}",
                    fix="choose windows within these wavelengths",
                )
        if not can_be_distinct(allowed):
            raise DataError(
                f"{self.label}: the windows share too few bands to have one each: {data}",
                fix="widen them",
            )


def _record(columns: Mapping[str, Tensor], image: int) -> dict[str, Any]:
    """The record of one image: its row of each column, on the device."""
    rows = {name: column[image] for name, column in columns.items()}
    return {"strategy": "high_contrast", **rows}
