"""Raw counts to reflectance, with white and dark references."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from specloom import (
    Batch,
    DataError,
    Input,
    LazyAffine,
    NodeError,
    Output,
    SpecloomError,
    StripPasses,
    node,
)
from specloom.torch import TorchNode, buffer
from specloom_cubes import Calibration, calibration_of, expand, read_coefficients
from specloom_reflectance.levels import level_tensor, unsaturated
from specloom_reflectance.whole_rows import WholeRows

BLOCK_VALUES = 1 << 20
"""Counts that are in memory as float64 at a time."""


@node
class Reflectance(TorchNode):
    """Calibrates raw counts: panel * (raw - d_raw) / (white - d_white) * t_white / t_raw.

    White and dark references are averaged over their lines, by column and band: the columns of the
    data are those of the references. d_raw and d_white are the darks at the exposures t_raw and
    t_white; exposures that are not known are taken as equal, with a warning. Where the difference
    of white and dark is not above ``least`` a column's band is NaN, with a warning that counts
    them. Saturated values of the white reference do not count. The references are read once and
    saved with the pipeline.

    ``calibration`` of the sources does the same while cubes are read, for captures of which each
    has references of its own, and for scenes that are larger than memory.

    Args:
        white: The file of the white reference.
        dark: The file of the dark reference.
        white_dark: Another dark, at the exposure of the white reference.
        panel: The reflectance of the white panel: a number, or a table of one spectrum.
        average: ``mean`` or ``median`` of the lines of a reference.
        per_column: A reference spectrum for each column; false for one of all columns.
        dark_kind: ``offset``: one dark is used as it is for both exposures; ``current``: it is
            proportional to the exposure; None for ``offset``, with a warning where exposures
            differ.
        exposures: Exposure times of ``raw``, ``white``, ``dark`` in one unit, used instead of those
            in the headers, where that of the data is taken as that of the dark.
        least: Differences of white and dark that are not above it give NaN.
        clip: Limit the reflectance to [0, clip].
        saturation: The count from which a value is saturated, one for all bands or one for each;
            None for what the headers of the references state.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: A parameter is of another kind.
        DataError: A reference cannot be used, or has other bands than the data.
        NodeError: The data have other columns than the references.
    """

    data = Input("B H W num_channels", "real", doc="Raw counts.")
    valid_in = Input("B H W 1", "bool", optional=True, doc="Pixels that may be used.", name="valid")
    reflectance = Output("B H W num_channels", unit="1", doc="Reflectance; NaN where not known.")
    valid = Output("B H W 1", "bool", doc="Pixels that may be used and are not saturated.")
    affine_output = "reflectance"

    white: Path
    dark: Path
    white_dark: Path | None = None
    panel: float | Path = 1.0
    average: Literal["mean", "median"] = "mean"
    per_column: bool = True
    dark_kind: Literal["offset", "current"] | None = None
    exposures: dict[str, float] | None = None
    least: float = 0.0
    clip: float | None = None
    saturation: float | list[float] | None = None
    num_channels: int | None = None

    dark_counts = buffer()
    gain = buffer()
    levels = buffer()

    @property
    def locality(self) -> str:
        """What an output pixel depends on: itself, or its column too, which tiles do not show."""
        return "image" if self.per_column else "pixel"

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters; no reference is read."""
        self._options()
        channels = sizes["num_channels"]
        self.register_buffer("dark_counts", torch.zeros(0, channels, dtype=torch.float64))
        self.register_buffer("gain", torch.zeros(0, channels, dtype=torch.float64))
        levels = torch.full((channels,), torch.inf, dtype=torch.float64)
        if self.saturation is not None:
            levels = level_tensor(self.label, "saturation", self.saturation, channels)
        self.register_buffer("levels", levels)

    def _options(self) -> Calibration:
        """The calibration that the parameters state."""
        panel = str(self.panel) if isinstance(self.panel, Path) else self.panel
        stated = {
            "white": str(self.white),
            "dark": str(self.dark),
            "white_dark": None if self.white_dark is None else str(self.white_dark),
            "panel": panel,
            "average": self.average,
            "per_column": self.per_column,
            "dark_kind": self.dark_kind,
            "exposures": self.exposures or {},
            "least": self.least,
            "clip": self.clip,
            "saturation": self.saturation,
        }
        found = calibration_of(stated)
        assert found is not None, "it is stated"
        return found

    def missing(self) -> Iterable[SpecloomError]:
        """An error for each reference that is not there; a node that was saved needs none."""
        if len(self.gain):
            return []
        errors = []
        for name, path in self._options().files.items():
            if not expand(path).is_file():
                errors.append(
                    DataError(f"{self.label}: there is no file {path}", fix=f"correct {name}")
                )
        return errors

    def prepare(self, device: str) -> None:
        """Read the references, unless the node has those that were saved.

        Raises:
            DataError: They cannot be used.
        """
        if len(self.gain):
            return
        found, notes = read_coefficients(self._options())
        channels = self.gain.shape[1]
        bands = found.gain.shape[1]
        if bands != channels:
            raise DataError(
                f"{self.label}: the references have {bands} bands, the data {channels}",
                fix="use the references of this camera, with the same bands",
            )
        self._store(torch.from_numpy(found.dark), torch.from_numpy(found.gain))
        for note in notes:
            warnings.warn(f"{self.label}: {note}", stacklevel=2)

    def _store(self, dark: Tensor, gain: Tensor) -> None:
        device = self.levels.device
        self.register_buffer("dark_counts", dark.to(device, torch.float64, copy=True))
        self.register_buffer("gain", gain.to(device, torch.float64, copy=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved references, of any number of columns."""
        dark = state.get("dark_counts")
        gain = state.get("gain")
        channels = self.gain.shape[1]
        if dark is not None and gain is not None and dark.shape == gain.shape:
            is_own = gain.ndim == 2 and gain.shape[1] == channels
            if is_own:
                self._store(torch.zeros_like(dark), torch.zeros_like(gain))
        super().restore(state)

    def strip_passes(self) -> StripPasses:
        """The work on one image, in strips of whole rows."""
        return WholeRows(self.forward)

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Calibrate (B, H, W, C) ``data``."""
        self._check_columns(data)
        lines = data.flatten(0, 1)
        rows = max(BLOCK_VALUES // max(data.shape[2] * data.shape[3], 1), 1)
        parts = [self._calibrate(lines[at : at + rows]) for at in range(0, len(lines), rows)]
        result = torch.cat(parts).view(data.shape)
        return {"reflectance": result, "valid": self._valid(data, valid)}

    def _calibrate(self, lines: Tensor) -> Tensor:
        """The reflectance of some lines (n, W, C), computed in float64."""
        values = (lines.double() - self.dark_counts) * self.gain
        if self.clip is not None:
            values = values.clamp(0, self.clip)
        return values.to(_result_type(lines))

    def forward_lazy(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """As ``forward``, but a ``LazyAffine`` where one reference spectrum is not clipped."""
        if self.per_column or self.clip is not None:
            return self.forward(data, valid)
        self._check_columns(data)
        gain = self.gain[0]
        lazy = LazyAffine(data, gain, -self.dark_counts[0] * gain, _result_type(data))
        return {"reflectance": lazy, "valid": self._valid(data, valid)}

    def _valid(self, data: Tensor, valid: Tensor | None) -> Tensor:
        usable = unsaturated(data, self.levels)
        if valid is None:
            return usable
        return usable & valid

    def _check_columns(self, data: Tensor) -> None:
        columns = len(self.gain)
        if not columns:
            raise NodeError(
                f"{self.label} has no references", fix="prepare it, or load a saved pipeline"
            )
        if columns not in (1, data.shape[2]):
            raise NodeError(
                f"{self.label}: the data have {data.shape[2]} columns, the references {columns}",
                fix="use references with the columns of the data, or write per_column: false",
            )


def _result_type(data: Tensor) -> torch.dtype:
    return data.dtype if data.is_floating_point() else torch.float32
