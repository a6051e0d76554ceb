"""What all detectors of known targets share."""

from __future__ import annotations

import json
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from specloom import (
    Batch,
    ConfigError,
    Input,
    IntegrityError,
    Internal,
    LazyAffine,
    NodeError,
    Output,
    SpecloomError,
    node,
    param,
)
from specloom.torch import buffer
from specloom_rx import background_mask
from specloom_statistics import RunningVariance, StreamingNode
from specloom_targets.accumulator import TargetStatistics
from specloom_targets.info import TARGET_INFO

if TYPE_CHECKING:
    from specloom_cubes import Spectra
    from specloom_targets.accumulator import Background

MASK_NAME = "mask"
"""What the target is called that is the mean of the pixels of the mask."""


@node
class TargetDetector(StreamingNode[TargetStatistics]):
    """A node that scores pixels by how much they look like known spectra.

    Targets come from a file of spectra, from pixels of a cube, or from the pixels that ``mask``
    marks while the node is fitted, whose mean is the one target. The spectra of a file are matched
    to the bands of the scene when the fit ends, without extrapolation, and saved: the file is not
    needed afterwards.

    Args:
        targets: A file of spectra (CSV, ENVI library, spectra of objects), or with
            ``target_pixels`` a cube; None for the mean of the pixels of ``mask``.
        names: Which spectra of the file; what the pixels, or the mean of the mask, are called.
        target_pixels: Rows and columns of the targets in the cube ``targets``, counted from 0.
        unit: The unit of the data, which is compared with that of the file; empty if not known.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: Parameters do not fit together, or the file has no spectrum of a name.
        DataError: The file cannot be used, does not cover the bands of the scene, or is in another
            unit or scale.
        NodeError: The fit saw no usable pixel, or none of the target.
    """

    data = Input("B H W num_channels", doc="Pixels, in the unit of the targets.")
    valid = Input(
        "B H W 1", "bool", optional=True, for_fit=True, labelled=False, doc="Pixels to fit."
    )
    mask = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels of the target.")
    wavelengths = Input(
        "num_channels",
        "real",
        unit="nm",
        optional=True,
        for_fit=True,
        host=True,
        doc="Band centres, to which the spectra of a file are matched.",
    )
    scores = Output("B H W T", unit="1", doc="Scores of each target; higher is more target-like.")
    best_score = Output("B H W 1", unit="1", doc="The highest score of all targets.")
    best = Output(
        "B H W 1", "int64", doc="The number of the target with that score; -1 where it is NaN."
    )
    target_info = Output(TARGET_INFO)
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"num_channels": 3}
    affine_input = "data"
    per_target: ClassVar[tuple[str, ...]] = ("spectra",)
    """Buffers with a row for each target."""

    targets: Path | None = param(default=None, kw_only=True)
    names: list[str] | None = param(default=None, kw_only=True)
    target_pixels: list[tuple[int, int]] | None = param(default=None, kw_only=True)
    unit: str = param(default="", kw_only=True)
    num_channels: int | None = param(default=None, kw_only=True)

    spectra = buffer()
    name_bytes = buffer()
    target_names = Internal[list[str]]([])
    """The names of the targets, in the order of the scores; empty before a fit."""

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters; no target is known yet."""
        self._check_parameters()
        size = sizes["num_channels"]
        for name in self.per_target:
            self.register_buffer(name, torch.zeros(0, size, dtype=torch.float64))
        # Their number is known when the fit ends, so the names are bytes of JSON.
        self.register_buffer("name_bytes", torch.zeros(0, dtype=torch.uint8))

    def _check_parameters(self) -> None:
        if self.target_pixels is not None and self.targets is None:
            raise ConfigError(
                f"{self.label}: target_pixels is set without a cube", fix="set targets to a cube"
            )
        for name in ("target_pixels", "names"):
            value = getattr(self, name)
            if value is not None and len(value) == 0:
                raise ConfigError(f"{self.label}: {name} is empty", fix=f"remove {name}")
        if self.names is not None and len(set(self.names)) < len(self.names):
            raise ConfigError(f"{self.label}: names has a name twice", fix="write each name once")
        if self.targets is None and self.names is not None and len(self.names) > 1:
            raise ConfigError(
                f"{self.label}: {len(self.names)} names for the one target of the mask",
                fix="write one name, or set targets to a file of spectra",
            )

    def missing(self) -> Iterable[SpecloomError]:
        """The error that the file of the targets is not there; a fitted node does not need it."""
        from specloom_targets.loading import file_problem

        if self.fitted or self.targets is None:
            return []
        problem = file_problem(self.label, "targets", self.targets)
        return [] if problem is None else [problem]

    def fit_start(self, pass_: int) -> None:
        """Read the targets, and start with empty statistics."""
        self._file: Spectra | None = None
        if self.targets is not None:
            self._file = self._load(self.targets, self.names, self.target_pixels)
        channels = self.spectra.shape[1]
        device = self.spectra.device
        background = self._empty_background(channels, device)
        self.start_statistics(TargetStatistics(background, channels, device))

    def _load(
        self,
        path: Path,
        names: list[str] | None,
        pixels: list[tuple[int, int]] | None = None,
    ) -> Spectra:
        from specloom_targets.loading import load_spectra
        from specloom_targets.scale import check_units

        found = load_spectra(self.label, path, names, pixels)
        check_units(self.label, found.source, found.unit, self.unit)
        for note in found.notes:
            warnings.warn(note, stacklevel=2)
        return found

    def _empty_background(self, channels: int, device: torch.device) -> Background:
        return RunningVariance(channels, device)

    def fit_update(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        target = None
        if mask is not None:
            target = mask.reshape(-1)
            if valid is not None:
                target = target & valid.reshape(-1)
        statistics = self.statistics()
        statistics.update(data, self._background_pixels(valid, mask), target)
        if wavelengths is not None:
            statistics.set_wavelengths(wavelengths)

    def _background_pixels(self, valid: Tensor | None, mask: Tensor | None) -> Tensor | None:
        return background_mask(valid, None)

    def fit_end(self) -> None:
        """Match the targets to the bands of the scene, and derive what the scores need."""
        statistics = self.take_statistics()
        background = statistics.background
        self.left_out = background.left_out
        if background.count:
            names, spectra = self._targets_of(statistics)
            self._store("spectra", spectra)
            self._set_names(names)
            self._set_targets(statistics)
        self._file = None
        self.finish_fit(background.count)

    def _targets_of(self, statistics: TargetStatistics) -> tuple[list[str], Tensor]:
        """The names of the targets, and their spectra on the bands of the scene, (T, C)."""
        if self._file is not None:
            return list(self._file.names), self._matched(self._file, statistics)
        if statistics.target.count == 0:
            raise NodeError(
                f"{self.label} has no target: the fit saw no usable pixel of a mask",
                fix="set targets to a file of spectra, or connect mask",
            )
        names = [MASK_NAME] if self.names is None else self.names
        return list(names), statistics.target.mean()[None]

    def _matched(self, spectra: Spectra, statistics: TargetStatistics) -> Tensor:
        """Spectra of a file on the bands of the scene, (T, C), of the scene's scale."""
        from specloom_targets.matching import has_same_bands, match_wavelengths
        from specloom_targets.scale import check_scale

        wavelengths = None
        if not bool(statistics.wavelengths.isnan().any()):
            wavelengths = statistics.wavelengths.numpy()
        if has_same_bands(spectra, wavelengths, self.spectra.shape[1]):
            values = spectra.values
        else:
            values = match_wavelengths(spectra, wavelengths)
        level = statistics.level()
        matched = torch.tensor(values, dtype=torch.float64, device=level.device)
        check_scale(self.label, spectra.source, list(spectra.names), matched, level)
        return matched

    def _store(self, name: str, values: Tensor) -> None:
        """Set a buffer whose size the fit decides."""
        self.register_buffer(name, values.detach().to(self.spectra.device, copy=True))

    def _set_targets(self, statistics: TargetStatistics) -> None:
        """Derive what the scores need from the statistics and ``spectra``."""

    def _set_names(self, names: list[str]) -> None:
        encoded = json.dumps(names, ensure_ascii=False).encode("utf-8")
        self._store("name_bytes", torch.tensor(list(encoded), dtype=torch.uint8))
        self.target_names = names

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, with any number of targets.

        Raises:
            IntegrityError: It is that of another node, or does not fit together.
        """
        sizes = set()
        for name in self.per_target:
            saved = state.get(name)
            if saved is None:
                continue
            sizes.add(len(saved))
            if saved.ndim == 2 and saved.shape[1:] == getattr(self, name).shape[1:]:
                self._store(name, torch.zeros(saved.shape, dtype=torch.float64))
        saved_names = state.get("name_bytes")
        if saved_names is not None and saved_names.ndim == 1:
            self._store("name_bytes", torch.zeros(len(saved_names), dtype=torch.uint8))
        super().restore(state)
        self.target_names = _decoded(self.name_bytes)
        sizes.add(len(self.target_names))
        if len(sizes) > 1:
            raise IntegrityError(
                f"the state of {type(self).__name__} has different numbers of targets: "
                f"{sorted(sizes)}"
            )

    def forward(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``."""
        return self._outputs(self._score(data))

    @abstractmethod
    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        """The scores (B, H, W, T) of the pixels."""

    def _outputs(self, scores: Tensor) -> dict[str, object]:
        """The scores, the best of them and its target."""
        best_score, best = scores.max(-1, keepdim=True)
        return {
            "scores": scores,
            "best_score": best_score,
            "best": torch.where(best_score.isnan(), -1, best),
            "target_info": {"names": self.target_names},
        }

    def band_names(self, port: str) -> Sequence[str]:
        """The targets, for an output with a band for each of them."""
        if self.outputs[port].names[-1:] == ("T",):
            return self.target_names
        return []

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        names = self.target_names
        shown = ", ".join(names[:5])
        if len(names) > 5:
            shown = f"{shown}, ..."
        noun = "target" if len(names) == 1 else "targets"
        return f"{len(names)} {noun} ({shown}), {self.pixel_summary()}"


def _decoded(name_bytes: Tensor) -> list[str]:
    """The names of the targets from bytes of JSON.

    Raises:
        IntegrityError: They are something else.
    """
    encoded = bytes(name_bytes.tolist())
    if not encoded:
        return []
    try:
        names: list[str] = json.loads(encoded)
    except ValueError as error:
        raise IntegrityError(f"the saved names of the targets cannot be read: {error}") from error
    return names
