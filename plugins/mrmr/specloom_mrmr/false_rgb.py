"""A picture, much as the eye would see it, of the bands that separate two classes."""

from __future__ import annotations

from typing import TypeAlias

from specloom import node
from specloom_mrmr.selector import SupervisedBandSelector

Window: TypeAlias = tuple[float, float]


@node
class SupervisedWindowedFalseRGBSelector(SupervisedBandSelector):
    """Chooses a blue, a green and a red band by relevance and redundancy (mRMR).

    The picture is red first; bands are chosen in the order of the windows. Relevance is the
    weighted sum of Fisher's score, AUC and mutual information, each standardised over the bands
    that vary.

    Source: H. Peng, F. Long, C. Ding, IEEE Trans. PAMI 27(8), 2005, with the highest correlation
    as redundancy.

    Args:
        num_spectral_bands: C; the graph infers it.
        windows: Ranges in nm, ends included, of BLUE, GREEN and RED.
        score_weights: Of Fisher's score, the AUC and the mutual information.
        lambda_penalty: The weight of the highest absolute correlation with a band chosen before.
        winsorize: Two quantiles: for Fisher's score and the correlation what lies beyond counts as
            these, so that a few hot pixels do not change the choice; None for all as they
            are.
        mi_bins: Bins of equal share for the mutual information.

    Raises:
        ConfigError: A parameter is out of its range.
        DataError: A window has no band, the data have no labels, or only one class.
    """

    strategy = "supervised_windowed_false_rgb"

    windows: tuple[Window, Window, Window] = ((440.0, 500.0), (500.0, 580.0), (610.0, 700.0))

    def channel_windows(self) -> tuple[Window, ...]:
        """Red, green and blue."""
        return tuple(self.windows[::-1])

    def selection_order(self) -> range:
        """Blue first, in the order of the windows."""
        return range(2, -1, -1)
