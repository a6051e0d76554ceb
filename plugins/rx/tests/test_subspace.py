"""Subspace RX: a float64 loop, what is not supported, and hostile data."""

import warnings

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import fit, run
from specloom_rx import RXGlobal, SubspaceRX


def pixels(bands=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(2, 20, 15, bands, generator=generator, dtype=torch.float64)
    return data @ torch.randn(bands, bands, generator=generator, dtype=torch.float64) + 30


@pytest.mark.parametrize("drop", [1, 3, 7])
def test_scores_are_those_of_a_loop(drop):
    data = pixels()
    rows = data.reshape(-1, 8).numpy()
    node = fit(SubspaceRX(drop, num_channels=8), [{"data": data}])
    scores = run(node, {"data": data})["scores"].flatten()
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    for pixel in range(0, 600, 3):
        score = 0.0
        for i in range(8 - drop):
            score += (vectors[:, i] @ (rows[pixel] - rows.mean(0))) ** 2 / values[i]
        assert float(scores[pixel]) == pytest.approx(score, rel=1e-9)


def test_without_drop_it_is_global_rx():
    data = pixels()
    want = run(fit(RXGlobal(8, eps=0.0), [{"data": data}]), {"data": data})["scores"]
    got = run(fit(SubspaceRX(0, num_channels=8), [{"data": data}]), {"data": data})["scores"]
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def hostile(kind):
    data = pixels()
    if kind == "constant":
        return torch.full_like(data, 3.0)
    if kind == "one pixel":
        return data[:1, :1, :1]
    if kind == "singular":
        data[..., 4:] = data[..., :4] * 2
        return data
    return data[:1, :1, :5]


@pytest.mark.parametrize(
    ("kind", "rank"), [("constant", 0), ("one pixel", 0), ("singular", 1), ("few pixels", 1)]
)
def test_components_that_are_not_supported_are_excluded_with_a_warning(kind, rank):
    data = hostile(kind)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        node = fit(SubspaceRX(3, num_channels=8), [{"data": data}])
    (warning,) = found
    assert str(warning.message) == (
        f"SubspaceRX: {node.pixels} background pixels support {rank} of the 5 components behind "
        "the 3 that are excluded; the others are not used. Use more pixels, or drop bands that are "
        "combinations of others"
    )
    assert node.fit_summary() == f"{rank} components of 8 bands, {node.pixels} pixels"
    scores = run(node, {"data": data})["scores"]
    assert bool(scores.isfinite().all())
    if rank == 0:
        assert not scores.any()


def test_an_offset_changes_nothing_but_rounding():
    data = pixels()
    near = run(fit(SubspaceRX(2, num_channels=8), [{"data": data}]), {"data": data})["scores"]
    moved = {"data": data + 1e4}
    far = run(fit(SubspaceRX(2, num_channels=8), [moved]), moved)["scores"]
    torch.testing.assert_close(far, near, rtol=1e-7, atol=1e-7)


def test_masks_and_pixels_that_are_not_finite_are_excluded():
    data = pixels()
    clean = fit(SubspaceRX(2, num_channels=8), [{"data": data[:1]}])
    mask = torch.zeros(2, 20, 15, 1, dtype=torch.bool)
    mask[1, :10] = True
    data[1, :10] = 1e6
    data[1, 10:, :, 3] = torch.nan
    node = fit(SubspaceRX(2, num_channels=8), [{"data": data, "mask": mask}])
    assert (node.pixels, node.left_out) == (300, 300)
    torch.testing.assert_close(node.background_mean, clean.background_mean)
    scores = run(node, {"data": data})["scores"]
    assert bool(scores[1, 10:].isnan().all())
    assert bool(scores[0].isfinite().all())
    with pytest.raises(NodeError, match="was given no usable pixel to learn from"):
        fit(SubspaceRX(2, num_channels=8), [{"data": data[1:, 10:]}])


@pytest.mark.parametrize("drop", [-1, 8])
def test_drop_is_checked(drop):
    message = f"SubspaceRX: drop is {drop}, but the data have 8 channels"
    with pytest.raises(ConfigError, match=message):
        SubspaceRX(drop, num_channels=8)
