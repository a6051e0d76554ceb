"""A covariance of too few pixels is warned of, and shrinkage is the remedy."""

import warnings

import pytest
import torch
from sklearn.metrics import roc_auc_score

from specloom_rx import RXGlobal

BANDS = 60


def scene(pixels):
    """Correlated background spectra, and anomalies that differ in all bands."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, BANDS, generator=generator, dtype=torch.float64)
    rows = torch.randn(pixels + 4000, 6, generator=generator, dtype=torch.float64) @ mixing
    rows += 0.05 * torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    rows[-200:] += 0.04 * torch.randn(BANDS, generator=generator, dtype=torch.float64)
    return rows.reshape(1, -1, 1, BANDS)


def fitted(data, **options):
    node = RXGlobal(name="rx", **options)
    node.build({"num_channels": BANDS})
    node.fit_start(0)
    node.fit_update(data)
    node.fit_end()
    return node


def auc(node, data):
    scores = node.forward(data)["scores"].flatten()[-4000:].numpy()
    return roc_auc_score([0] * 3800 + [1] * 200, scores)


def test_fewer_than_ten_pixels_a_band_are_warned_of():
    data = scene(100)
    with pytest.warns(UserWarning, match="1.7 a band") as caught:
        plain = fitted(data[:, :100])
    assert str(caught[0].message) == (
        "node 'rx' (RXGlobal): 100 pixels for a covariance of 60 bands are 1.7 a band; below 10 "
        "its inverse is mostly noise\n  fix: set shrinkage: 0.001, or fit more pixels"
    )
    remedied = fitted(data[:, :100], shrinkage=0.001)
    assert auc(remedied, data) > auc(plain, data) + 0.03


def test_ten_pixels_a_band_are_enough():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(scene(600)[:, :600])
