"""A colour-infrared picture of the bands that separate two classes."""

from __future__ import annotations

from typing import TypeAlias

from specloom import node
from specloom_mrmr.selector import SupervisedBandSelector

Window: TypeAlias = tuple[float, float]


@node
class SupervisedCIRBandSelector(SupervisedBandSelector):
    """Chooses a near-infrared, a red and a green band by relevance and redundancy (mRMR).

    They become red, green and blue of the picture. Relevance is the weighted sum of Fisher's
    score, AUC and mutual information, each standardised over the bands that vary.

    Source: H. Peng, F. Long, C. Ding, IEEE Trans. PAMI 27(8), 2005, with the highest correlation
    as redundancy.

    Args:
        num_spectral_bands: C; the graph infers it.
        windows: Ranges in nm, ends included, of near infrared, red and green.
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

    strategy = "supervised_cir"

    windows: tuple[Window, Window, Window] = ((840.0, 910.0), (650.0, 720.0), (500.0, 570.0))

    def channel_windows(self) -> tuple[Window, ...]:
        """Near infrared, red and green."""
        return tuple(self.windows)
