"""Spectra on another grid of bands."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from specloom import (
    Batch,
    ConfigError,
    DataError,
    Input,
    Internal,
    LazyAffine,
    LazyLinear,
    NodeError,
    Output,
    SpecloomError,
    node,
)
from specloom.torch import TorchNode, buffer
from specloom_cubes import BandMap, expand, gaussian_map, read_grid, read_spectra, response_map
from specloom_reflectance.band_maps import lazy_bands, map_bands

SOURCES = ("grid", "responses", "centres")


@node
class Resample(TorchNode):
    """Resamples spectra to the bands of another camera.

    A target band is the mean of the source's bands with the weights of a Gaussian of its width, or
    of its measured response, times the spacing of the source. A target band that is narrower than
    that spacing is interpolated linearly, with a warning. A pixel that is not finite in every band
    is NaN.

    Behind this node a graph is that of the target's bands, whatever the bands of the source; but a
    fitted graph has an entry of the source's own bands. ``bands: {resample: FILE}`` of the sources
    resamples before the entry, so that a pipeline that was fitted on one camera runs on another.

    Args:
        grid: A table of band centres (``wavelength_nm``), and maybe widths (``fwhm_nm``), or the
            file of a cube that has these bands.
        responses: Instead: a table of ``wavelength_nm`` and the response of each band.
        centres: Instead: the band centres in nm.
        fwhm: The widths of ``centres`` at half maximum in nm, one for all or one for each; by
            default their spacing.
        num_bands: The number of target bands; it follows from the others.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: Not one of ``grid``, ``responses`` and ``centres`` is set, or widths do not
            fit.
        DataError: The grid cannot be used, or a target band lies outside of the source.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    wavelengths_in = Input(
        "num_channels", "real", unit="nm", host=True, doc="Band centres.", name="wavelengths"
    )
    resampled = Output("B H W num_bands", doc="Pixels on the target's bands.")
    wavelengths = Output("num_bands", unit="nm", host=True, doc="The target's band centres.")
    locality = "pixel"
    affine_input = "data"
    linear_input = "data"
    linear_output = "resampled"
    example: ClassVar[Mapping[str, object]] = {"centres": [500.0, 600.0, 750.5], "fwhm": 60.0}

    grid: Path | None = None
    responses: Path | None = None
    centres: list[float] | None = None
    fwhm: float | list[float] | None = None
    num_bands: int | None = None
    num_channels: int | None = None

    target = buffer()
    widths = buffer()
    response_grid = buffer()
    response_values = buffer()
    _cached = Internal[tuple[bytes, Tensor, Tensor] | None](None)

    @classmethod
    def sizes(cls, params: Mapping[str, Any], known: Mapping[str, int]) -> Mapping[str, int]:
        """The number of target bands, from the parameters or their file."""
        if params.get("num_bands") is not None:
            return {"num_bands": params["num_bands"]}
        if params.get("centres") is not None:
            return {"num_bands": len(params["centres"])}
        if params.get("grid") is not None and expand(params["grid"]).is_file():
            return {"num_bands": len(read_grid(expand(params["grid"]))[0])}
        if params.get("responses") is not None and expand(params["responses"]).is_file():
            return {"num_bands": len(read_spectra(params["responses"]).names)}
        return {}

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and read the target's bands."""
        stated = [name for name in SOURCES if getattr(self, name) is not None]
        fix = f"set one of {', '.join(SOURCES)}"
        if not stated:
            raise ConfigError(f"{self.label}: no grid is set", fix=fix)
        if len(stated) > 1:
            raise ConfigError(f"{self.label}: {' and '.join(stated)} are set", fix=fix)
        if self.centres == []:
            raise ConfigError(f"{self.label}: centres is empty", fix="write the centres in nm")
        if self.fwhm is not None and self.centres is None:
            raise ConfigError(
                f"{self.label}: fwhm is set without centres", fix="write the widths into the table"
            )
        count = self._count_bands()
        nothing = torch.full((count,), torch.nan, dtype=torch.float64)
        self.register_buffer("target", nothing.clone())
        self.register_buffer("widths", nothing.clone())
        self.register_buffer("response_grid", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("response_values", torch.zeros(count, 0, dtype=torch.float64))
        self._read(count)
        self.num_bands = count  # so that a saved pipeline does not need the file

    def _count_bands(self) -> int:
        """The number of target bands.

        Raises:
            DataError: It follows from a file that is not there.
        """
        stated = {name: getattr(self, name) for name in ("num_bands", *SOURCES)}
        found = type(self).sizes(stated, {}).get("num_bands")
        if found is None:
            errors = list(self._missing_files())
            raise errors[0]
        return found

    def _read(self, count: int) -> None:
        """Take over the target's bands, where their file is there."""
        if self.centres is not None:
            self._set_bands(np.array(self.centres, float), self._stated_widths(), count)
        elif self.grid is not None and expand(self.grid).is_file():
            centres, widths = read_grid(expand(self.grid))
            self._set_bands(centres, widths, count)
        elif self.responses is not None and expand(self.responses).is_file():
            spectra = read_spectra(self.responses)
            if spectra.wavelengths is None:
                raise DataError(
                    f"{self.label}: {self.responses} states no wavelengths",
                    fix="give a table with a column wavelength_nm and one for each band",
                )
            self._check_count(len(spectra.values), count)
            self.register_buffer("response_grid", torch.tensor(spectra.wavelengths))
            self.register_buffer("response_values", torch.tensor(spectra.values))

    def _set_bands(
        self, centres: np.ndarray[Any, Any], widths: np.ndarray[Any, Any] | None, count: int
    ) -> None:
        self._check_count(len(centres), count)
        if not (np.isfinite(centres) & (centres > 0)).all():
            raise ConfigError(
                f"{self.label}: a band centre is not a positive number", fix="write them in nm"
            )
        self.target.copy_(torch.from_numpy(centres))
        if widths is not None:
            self.widths.copy_(torch.from_numpy(widths))

    def _check_count(self, found: int, count: int) -> None:
        if found != count:
            raise ConfigError(
                f"{self.label}: num_bands is {count}, the grid has {found} bands",
                fix="remove num_bands, or use the grid that the pipeline was saved with",
            )

    def _stated_widths(self) -> np.ndarray[Any, Any] | None:
        if self.fwhm is None or self.centres is None:
            return None
        widths = np.array(self.fwhm, float)
        if widths.ndim == 0:
            widths = np.full(len(self.centres), float(widths))
        is_usable = np.isfinite(widths) & (widths > 0)
        if len(widths) != len(self.centres) or not is_usable.all():
            raise ConfigError(
                f"{self.label}: fwhm is {self.fwhm} for {len(self.centres)} centres",
                fix="write one finite width above 0, or one for each centre",
            )
        return widths

    def missing(self) -> Iterable[SpecloomError]:
        """The error that the file of the grid is not there; a saved node does not need it."""
        is_known = len(self.response_grid) > 0 or not bool(self.target.isnan().any())
        return [] if is_known else self._missing_files()

    def _missing_files(self) -> list[DataError]:
        path = self.grid or self.responses
        if path is None or expand(path).is_file():
            return []
        name = "grid" if self.grid is not None else "responses"
        return [DataError(f"{self.label}: there is no file {path}", fix=f"correct {name}")]

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, with any number of samples of the responses."""
        grid = state.get("response_grid")
        values = state.get("response_values")
        if grid is not None and values is not None and grid.ndim == 1:
            is_own = values.shape == (len(self.target), len(grid))
            if is_own:
                self.register_buffer("response_grid", torch.zeros_like(grid))
                self.register_buffer("response_values", torch.zeros_like(values))
        super().restore(state)
        self._cached = None

    def forward(self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor) -> Batch:
        """Resample (B, H, W, C) ``data`` with the band centres ``wavelengths`` (C,)."""
        matrix, centres = self._map(wavelengths)
        return {"resampled": map_bands(data, matrix), "wavelengths": centres}

    def forward_lazy(self, data: Tensor | LazyAffine | LazyLinear, wavelengths: Tensor) -> Batch:
        """As ``forward``, with the map left to the readers."""
        matrix, centres = self._map(wavelengths)
        return {"resampled": lazy_bands(data, matrix), "wavelengths": centres}

    def _map(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """The matrix (K, C) from bands with these centres, and the target's centres (K,)."""
        source = wavelengths.detach().cpu().double().numpy()
        key = source.tobytes()
        if self._cached is None or self._cached[0] != key:
            found = self._map_from(source)
            for note in found.notes:
                warnings.warn(f"{self.label}: {note}", stacklevel=2)
            assert found.wavelengths is not None, "both maps have centres"
            with torch.inference_mode(False):
                matrix = torch.tensor(found.matrix, device=self.target.device)
                centres = torch.tensor(found.wavelengths, dtype=torch.float32)
            self._cached = key, matrix, centres
        return self._cached[1], self._cached[2]

    def _map_from(self, source: np.ndarray[Any, Any]) -> BandMap:
        try:
            return self._map_of_grid(source)
        except DataError as e:
            # What computes maps does not know for which node.
            raise DataError(f"{self.label}: {e.what}", where=e.where, fix=e.fix) from e

    def _map_of_grid(self, source: np.ndarray[Any, Any]) -> BandMap:
        if len(self.response_grid):
            values = self.response_values.cpu().numpy()
            names = [str(number) for number in range(len(values))]
            return response_map(source, self.response_grid.cpu().numpy(), values, names)
        target = self.target.cpu().numpy()
        if np.isnan(target).any():
            raise NodeError(
                f"{self.label} has no grid", fix="correct the path of its file, or load its state"
            )
        widths = self.widths.cpu().numpy()
        if np.isnan(widths).any():
            return gaussian_map(source, target, None)
        return gaussian_map(source, target, widths)
