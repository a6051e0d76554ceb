"""What the supervised selectors share: the fit, the picture and the scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom import Batch, ConfigError, DataError, Input, Internal, NodeError, node
from specloom.torch import StatisticalNode, buffer
from specloom_bands.base import BandSelectorBase
from specloom_bands.nearest import band_centres
from specloom_mrmr import report
from specloom_mrmr.choice import chosen_bands
from specloom_mrmr.gathering import Gathering, check_same
from specloom_mrmr.parameters import Window, bands_of_windows, check_scoring, check_windows
from specloom_mrmr.relevance import BandStatistics, relevance

if TYPE_CHECKING:
    from pathlib import Path

    from specloom_mrmr.statistics import ClassStatistics

SCORES = ("fisher_scores", "auc_scores", "auc_bounds", "mi_scores", "band_scores")


class Choice(NamedTuple):
    """What a selector makes of its statistics."""

    found: BandStatistics
    scores: Tensor
    """The relevance of each band, (C,)."""
    varying: Tensor
    """The bands that are not constant, bool (C,)."""
    bands: list[int]
    """Those chosen, in the order of the channels."""


@node
class SupervisedBandSelector(BandSelectorBase, StatisticalNode):
    """Takes the bands that best tell the pixels in ``mask`` from the others, not telling the same.

    See the README for the scores, the choice and the fit. A subclass says where bands may lie.
    """

    cube = Input("B H W num_spectral_bands", doc="Cubes of any unit.")
    wavelengths = Input(
        "num_spectral_bands",
        "real",
        unit="nm",
        for_fit=True,
        host=True,
        doc="Band centres, in any order; once fitted they are known.",
    )
    mask = Input("B H W 1", "bool", for_fit=True, doc="True in one class, False in the other.")
    valid = Input("B H W 1", "bool", optional=True, doc="Pixels that count.")
    fit_passes = 2
    strategy = ""
    num_spectral_bands: int | None = None
    score_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lambda_penalty: float = 0.5
    winsorize: tuple[float, float] | None = None
    mi_bins: int = 32

    selected_indices = buffer()
    band_scores = buffer()
    fisher_scores = buffer()
    auc_scores = buffer()
    auc_bounds = buffer()
    mi_scores = buffer()
    mi_edges = buffer()
    known_wavelengths = buffer()
    class_pixels = buffer()
    _gathering = Internal[Gathering | None](None)
    _left_out = 0

    def channel_windows(self) -> tuple[Window, ...]:
        """Where the band of each channel of the picture may lie, red first; empty: anywhere."""
        return ()

    def channels(self) -> int:
        """How many bands are chosen."""
        return 3

    def turns(self) -> Sequence[int]:
        """The channels in the order in which their bands are chosen."""
        return range(self.channels())

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the scores."""
        bands, count = sizes["num_spectral_bands"], self.channels()
        check_scoring(
            self.label, self.score_weights, self.lambda_penalty, self.mi_bins, self.winsorize
        )
        if windows := self.channel_windows():
            check_windows(self.label, windows)
        if not 1 <= count <= bands:
            fix = f"give a number from 1 to {bands}"
            raise ConfigError(f"{self.label}: {count} of {bands} bands are to be chosen", fix=fix)
        for name in SCORES:
            self.register_buffer(name, torch.zeros(bands, dtype=torch.float64))
        self.register_buffer("mi_edges", torch.zeros(bands, self.mi_bins - 1))
        self.register_buffer("selected_indices", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("class_pixels", torch.zeros(2, dtype=torch.int64))
        nothing = torch.full((bands,), torch.nan, dtype=torch.float64)
        self.register_buffer("known_wavelengths", nothing)
        self.register_load_state_dict_post_hook(_settle)  # type: ignore[no-untyped-call]  # torch has no types here
        self.settle()

    def fit_start(self, pass_: int) -> None:
        """Begin to sample, or to count between the cuts that the sample gave."""
        if pass_ > 0:
            self._gathered().start()
            return
        self.fitted = False
        device = self.band_scores.device
        self._gathering = Gathering(self.label, len(self.band_scores), device, self.winsorize)

    def fit_update(
        self,
        cube: Tensor,
        mask: Tensor,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> None:
        """Take in the labelled pixels of (B, H, W, C) ``cube``.

        Raises:
            DataError: There are no wavelengths, other ones than before, or no band in a window.
        """
        gathering = self._gathered()
        if wavelengths is not None:
            if gathering.meet(band_centres(wavelengths, cube.shape[-1])):
                self._allowed(gathering.centres)
        elif self.channel_windows() and not gathering.centres:
            fix = "use data with wavelengths, or SupervisedFullSpectrumBandSelector"
            raise DataError(f"{self.label} has windows, and no wavelengths came", fix=fix)
        gathering.update(cube.detach(), mask, valid)

    def fit_state(self) -> Mapping[str, Tensor]:
        """The sample, or the moments and histograms, so far."""
        return self._gathered().state()

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in what another process gathered."""
        if len(state["centres"]):
            self._gathered().meet(state["centres"].tolist())
        self._gathered().merge(state)

    def fit_end(self) -> None:
        """Make the cuts after the first pass; score and choose the bands after the second.

        Raises:
            DataError: No pixel is labelled, or only one class has usable pixels.
        """
        gathering = self._gathered()
        if gathering.end_sample():
            return
        self._gathering, statistics = None, gathering.statistics
        self._left_out = statistics.left_out
        made = self.choice(statistics, gathering.centres)
        self._learn(made, statistics.pixels(), gathering.centres)
        self.finish_fit(sum(statistics.pixels()))

    @torch.no_grad()
    def choice(self, statistics: ClassStatistics, centres: Sequence[float]) -> Choice:
        """The scores and bands that follow from what was gathered."""
        found, varying = statistics.scores(self.mi_bins)
        scores = relevance(found, self.score_weights, varying)
        order = list(self.turns())
        allowed = self._allowed(centres)[order]
        bands = chosen_bands(scores, found.correlation, self.lambda_penalty, allowed, varying)
        return Choice(found, scores, varying, [bands[order.index(i)] for i in range(len(order))])

    def _learn(self, made: Choice, pixels: tuple[int, int], centres: Sequence[float]) -> None:
        found, bands = made.found, made.bands
        self.selected_indices.copy_(torch.tensor(bands))
        values = (found.fisher, found.auc, found.auc_bound, found.information, made.scores)
        for name, value in zip(SCORES, values, strict=True):
            getattr(self, name).copy_(value)
        self.mi_edges.copy_(found.edges)
        self.class_pixels.copy_(torch.tensor(pixels))
        known = centres or [torch.nan] * len(made.scores)
        self.known_wavelengths.copy_(torch.tensor(known, dtype=torch.float64))
        self.settle()
        if constant := [band for band in bands if not made.varying[band]]:
            what = f"{self.label} had to take bands that are constant: {constant}"
            warnings.warn(f"{what}. Widen the windows, or choose fewer bands", stacklevel=3)

    def _allowed(self, centres: Sequence[float]) -> Tensor:
        """The bands that each channel may have, bool (K, C)."""
        if windows := self.channel_windows():
            return bands_of_windows(self.label, centres, windows)
        return torch.ones(self.channels(), len(self.band_scores), dtype=torch.bool)

    def _gathered(self) -> Gathering:
        if self._gathering is None:
            raise NodeError(f"{self.label} has not started a fit", fix="call fit_start(0) first")
        return self._gathering

    def settle(self) -> None:
        """Derive from the saved state what ``forward`` must know without asking the device."""
        known = self.known_wavelengths.tolist()
        self._centres = [] if known[0] != known[0] else known
        self._record = report.record(self)

    def forward(
        self,
        cube: Tensor,
        wavelengths: Tensor | None = None,
        mask: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Compose the picture of (B, H, W, C) ``cube``.

        Raises:
            DataError: The wavelengths are not those of the fit.
        """
        if wavelengths is not None and self._centres:
            check_same(self.label, band_centres(wavelengths, cube.shape[-1]), self._centres)
        picture = self._compose_rgb(cube, self._record["band_indices"], valid)
        # A copy, so that nobody's change reaches the next batch.
        return {"rgb_image": picture, "band_info": deepcopy(self._record)}

    def score_table(self) -> list[dict[str, Any]]:
        """One row a band: its number, wavelength, scores, and place among those chosen."""
        self.require_fitted()
        return report.table(self)

    def scores(self) -> dict[str, Any]:
        """The choice and all scores, ready for JSON."""
        self.require_fitted()
        return {**deepcopy(self._record), "bands": report.table(self)}

    def plot(self, path: Path | str) -> None:
        """Draw the scores over the wavelengths, with the chosen bands, into a picture file."""
        self.require_fitted()
        report.draw(report.table(self), path)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return report.summary(self, self._left_out)


def _settle(node: SupervisedBandSelector, _keys: object) -> None:
    node.settle()
