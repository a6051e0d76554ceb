"""What the supervised selectors share: the fit, the picture and the scores."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom import Batch, ConfigError, DataError, Input, node
from specloom.torch import buffer
from specloom_bands import BandSelectorBase, band_centres
from specloom_mrmr import report
from specloom_mrmr.choice import choose_bands
from specloom_mrmr.parameters import Window, bands_of_windows, check_scoring, check_windows
from specloom_mrmr.relevance import BandStatistics, relevance
from specloom_mrmr.two_pass import TwoPassStatistics, check_wavelengths, combine_masks
from specloom_statistics import StreamingNode

if TYPE_CHECKING:
    from pathlib import Path

    from specloom_mrmr.class_statistics import ClassStatistics

SCORES = ("fisher_scores", "auc_scores", "auc_bounds", "mi_scores", "band_scores")


class Choice(NamedTuple):
    """The bands that follow from the statistics, and their scores."""

    statistics: BandStatistics
    relevance: Tensor
    """The relevance of each band, (C,)."""
    varying: Tensor
    """The bands that are not constant, bool (C,)."""
    bands: list[int]
    """Those chosen, in the order of the channels."""


@node
class SupervisedBandSelector(BandSelectorBase, StreamingNode[TwoPassStatistics]):
    """Selects bands that separate the pixels in ``mask`` from the others, without redundancy.

    See the README for the scores, the choice and the fit. A subclass sets where bands may lie.
    """

    cube = Input("B H W num_spectral_bands", doc="Cubes of any unit.")
    wavelengths = Input(
        "num_spectral_bands",
        "real",
        unit="nm",
        for_fit=True,
        host=True,
        doc="Band centres, in any order; not needed once fitted.",
    )
    mask = Input("B H W 1", "bool", for_fit=True, doc="True in one class, False in the other.")
    valid = Input("B H W 1", "bool", optional=True, labelled=False, doc="Pixels that may be used.")
    labelled = Input(
        "B H W 1",
        "bool",
        optional=True,
        for_fit=True,
        labelled=True,
        doc="Pixels whose class is known, to which the fit is limited.",
    )
    fit_passes = 2
    strategy = ""
    num_spectral_bands: int | None = None
    score_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lambda_penalty: float = 0.5
    winsorize: tuple[float, float] | None = (0.001, 0.999)
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

    def channel_windows(self) -> tuple[Window, ...]:
        """Where the band of each channel of the picture may lie, red first; empty: anywhere."""
        return ()

    def channels(self) -> int:
        """The number of bands to choose."""
        return 3

    def selection_order(self) -> Sequence[int]:
        """The channels in the order in which their bands are chosen."""
        return range(self.channels())

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the scores."""
        bands = sizes["num_spectral_bands"]
        count = self.channels()
        check_scoring(
            self.label, self.score_weights, self.lambda_penalty, self.mi_bins, self.winsorize
        )
        windows = self.channel_windows()
        if windows:
            check_windows(self.label, windows)
        if not 1 <= count <= bands:
            fix = f"set it to a number from 1 to {bands}"
            raise ConfigError(f"{self.label}: {count} of {bands} bands are to be chosen", fix=fix)
        for name in SCORES:
            self.register_buffer(name, torch.zeros(bands, dtype=torch.float64))
        self.register_buffer("mi_edges", torch.zeros(bands, self.mi_bins - 1))
        self.register_buffer("selected_indices", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("class_pixels", torch.zeros(2, dtype=torch.int64))
        unknown = torch.full((bands,), torch.nan, dtype=torch.float64)
        self.register_buffer("known_wavelengths", unknown)
        self.register_load_state_dict_post_hook(_state_loaded)  # type: ignore[no-untyped-call]  # torch has no types here
        self._derive([])

    def fit_start(self, pass_: int) -> None:
        """Start to sample, or to count between the cuts that the sample gave."""
        if pass_ > 0:
            self.statistics().start_counting()
            return
        bands = len(self.band_scores)
        device = self.band_scores.device
        self.start_statistics(TwoPassStatistics(self.label, bands, device, self.winsorize))

    def fit_update(
        self,
        cube: Tensor,
        mask: Tensor,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
        labelled: Tensor | None = None,
    ) -> None:
        """Add the labelled pixels of (B, H, W, C) ``cube``.

        Raises:
            DataError: There are no wavelengths, other ones than before, or no band in a window.
        """
        statistics = self.statistics()
        if wavelengths is not None:
            are_first = statistics.set_wavelengths(band_centres(wavelengths, cube.shape[-1]))
            if are_first:
                self._allowed(statistics.centres)
        elif self.channel_windows() and not statistics.centres:
            fix = "use data with wavelengths, or SupervisedFullSpectrumBandSelector"
            raise DataError(f"{self.label} has windows, but the data have no wavelengths", fix=fix)
        statistics.update(cube.detach(), mask, combine_masks(valid, labelled))

    def fit_end(self) -> None:
        """Make the cuts after the first pass; score and choose the bands after the second.

        Raises:
            DataError: No pixel is labelled, or only one class has usable pixels.
        """
        if self.statistics().end_sampling():
            return
        statistics = self.take_statistics()
        classes = statistics.classes
        self.left_out = classes.left_out
        choice = self.choice(classes, statistics.centres)
        self._set_choice(choice, classes.pixels(), statistics.centres)
        self.finish_fit(sum(classes.pixels()))

    @torch.no_grad()
    def choice(self, classes: ClassStatistics, centres: Sequence[float]) -> Choice:
        """The scores and bands that follow from the statistics of both classes."""
        scores, varying = classes.scores(self.mi_bins)
        total = relevance(scores, self.score_weights, varying)
        order = list(self.selection_order())
        allowed = self._allowed(centres)[order]
        chosen = choose_bands(total, scores.correlation, self.lambda_penalty, allowed, varying)
        bands = [chosen[order.index(channel)] for channel in range(len(order))]
        return Choice(scores, total, varying, bands)

    def _set_choice(
        self, choice: Choice, pixels: tuple[int, int], centres: Sequence[float]
    ) -> None:
        statistics = choice.statistics
        self.selected_indices.copy_(torch.tensor(choice.bands))
        self.fisher_scores.copy_(statistics.fisher)
        self.auc_scores.copy_(statistics.auc)
        self.auc_bounds.copy_(statistics.auc_bound)
        self.mi_scores.copy_(statistics.information)
        self.band_scores.copy_(choice.relevance)
        self.mi_edges.copy_(statistics.edges)
        self.class_pixels.copy_(torch.tensor(pixels))
        if centres:
            self.known_wavelengths.copy_(torch.tensor(centres, dtype=torch.float64))
        else:
            self.known_wavelengths.fill_(torch.nan)
        self.update_derived()
        constant = [band for band in choice.bands if not choice.varying[band]]
        if constant:
            what = f"{self.label} chose bands that are constant: {constant}"
            warnings.warn(f"{what}. Widen the windows, or choose fewer bands", stacklevel=3)

    def _allowed(self, centres: Sequence[float]) -> Tensor:
        """The bands that each channel may have, bool (K, C)."""
        windows = self.channel_windows()
        if windows:
            return bands_of_windows(self.label, centres, windows)
        return torch.ones(self.channels(), len(self.band_scores), dtype=torch.bool)

    def update_derived(self) -> None:
        """Derive from the saved state what ``forward`` needs on the host."""
        centres = self.known_wavelengths.tolist()
        if math.isnan(centres[0]):
            centres = []
        self._derive(centres)

    def _derive(self, centres: list[float]) -> None:
        """Derive it where the wavelengths in nm are known; ``centres`` is empty without them."""
        self._centres = centres
        self._record = report.record(self, centres)

    def forward(
        self,
        cube: Tensor,
        wavelengths: Tensor | None = None,
        mask: Tensor | None = None,
        valid: Tensor | None = None,
        labelled: Tensor | None = None,
    ) -> Batch:
        """Compose the picture of (B, H, W, C) ``cube``.

        Raises:
            DataError: The wavelengths are not those of the fit.
        """
        if wavelengths is not None and self._centres:
            centres = band_centres(wavelengths, cube.shape[-1])
            check_wavelengths(self.label, centres, self._centres)
        picture = self._compose_rgb(cube, self._record["band_indices"], valid)
        # A copy, so that a change of it does not reach the next batch.
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
        return report.summary(self)


def _state_loaded(node: SupervisedBandSelector, _keys: object) -> None:
    node.update_derived()
