"""A picture of the bands, anywhere in the spectrum, that separate two classes."""

from __future__ import annotations

from dataclasses import replace

from specloom import Input, Output, node
from specloom_mrmr.selector import SupervisedBandSelector


@node
class SupervisedFullSpectrumBandSelector(SupervisedBandSelector):
    """Chooses bands anywhere in the spectrum by relevance and redundancy (mRMR).

    The picture has them in the order of the choice, the most relevant one first (red). It needs
    no wavelengths. Relevance is the weighted sum of Fisher's score, AUC and mutual information,
    each standardised over the bands that vary.

    Source: H. Peng, F. Long, C. Ding, IEEE Trans. PAMI 27(8), 2005, with the highest correlation
    as redundancy.

    Args:
        num_spectral_bands: C; the graph infers it.
        score_weights: Of Fisher's score, the AUC and the mutual information.
        lambda_penalty: The weight of the highest absolute correlation with a band chosen before.
        winsorize: Two quantiles: for Fisher's score and the correlation what lies beyond counts as
            these, so that a few hot pixels do not change the choice; None for all as they
            are.
        n_bands: How many bands; the channels of the picture.
        mi_bins: Bins of equal share for the mutual information.

    Raises:
        ConfigError: A parameter is out of its range.
        DataError: The data have no labels, or only one class.
    """

    wavelengths = Input(replace(SupervisedBandSelector.inputs["wavelengths"], optional=True))
    rgb_image = Output(replace(SupervisedBandSelector.outputs["rgb_image"], axes="B H W n_bands"))
    strategy = "supervised_full_spectrum"

    n_bands: int = 3

    def channels(self) -> int:
        """How many bands are chosen."""
        return self.n_bands
