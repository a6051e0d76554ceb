"""Bands by the setting of mRMR that does best in cross-validation within the training pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector
from specloom_mrmr.two_pass import TwoPassStatistics

Array = npt.NDArray[Any]

SETTINGS = tuple(
    (weights, penalty)
    for weights in ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    for penalty in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
)
"""What is tried for the tuned selector: the weights of the scores, and the penalty."""
RUN = 100
"""Labelled pixels in a row that share a fold."""


def streamed(rows: Array, labels: Array, centres: Sequence[float]) -> TwoPassStatistics:
    """The statistics of these pixels, as a selector's fit computes them."""
    statistics = TwoPassStatistics("use", rows.shape[1])
    statistics.set_wavelengths(centres)
    cube, mask = torch.from_numpy(rows)[None, None], torch.from_numpy(labels)[None, None, :, None]
    statistics.update(cube, mask, None)
    statistics.end_sampling()
    statistics.start_counting()
    statistics.update(cube, mask, None)
    return statistics


def classifier(linear: Any) -> Any:
    """A linear classifier of standardised bands."""
    return make_pipeline(StandardScaler(), linear)


def tuned(rows: Array, labels: Array, centres: Sequence[float]) -> list[int]:
    """Three bands by the setting that does best in cross-validation within these pixels."""
    nodes = [
        SupervisedFullSpectrumBandSelector(
            rows.shape[1], score_weights=weights, lambda_penalty=penalty
        )
        for weights, penalty in SETTINGS
    ]
    values = np.zeros(len(nodes))
    fold = np.arange(len(rows)) // RUN % 2
    for train, test in ((fold == 0, fold == 1), (fold == 1, fold == 0)):
        if all(0 < labels[side].sum() < side.sum() for side in (train, test)):
            statistics = streamed(rows[train], labels[train], centres).classes
            for i, node in enumerate(nodes):
                bands = node.choice(statistics, centres).bands
                model = classifier(LinearDiscriminantAnalysis())
                model.fit(rows[train][:, bands], labels[train])
                found = model.decision_function(rows[test][:, bands])
                values[i] += roc_auc_score(labels[test], found)
    best = nodes[int(values.argmax())]
    return best.choice(streamed(rows, labels, centres).classes, centres).bands
