"""Whitening with a covariance of too few pixels is warned of."""

import warnings

import pytest
import torch

from specloom_pca import TrainablePCA


def fit(pixels, *, whiten):
    data = torch.randn(1, pixels, 1, 20, generator=torch.Generator().manual_seed(0))
    node = TrainablePCA(3, whiten=whiten, name="pca")
    node.build({"num_channels": 20})
    node.fit_start(0)
    node.fit_update(data)
    node.fit_end()


def test_whitening_from_few_pixels_is_warned_of():
    with pytest.warns(UserWarning, match="9.5 a band") as caught:
        fit(190, whiten=True)
    assert str(caught[0].message) == (
        "node 'pca' (TrainablePCA): 190 pixels for a covariance of 20 bands are 9.5 a band; below "
        "10 its inverse is mostly noise\n  fix: fit more pixels, or set whiten: false"
    )


@pytest.mark.parametrize(("pixels", "whiten"), [(200, True), (190, False)])
def test_projections_and_enough_pixels_are_not(pixels, whiten):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(pixels, whiten=whiten)
