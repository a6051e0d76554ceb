"""init_method="pca": the untrained mixer is the principal component analysis of its data."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from sklearn.decomposition import PCA

from specloom import NodeError
from specloom.testing import fit, run
from specloom_mixer.initial_weights import samuelson_shift
from specloom_mixer.mixer import LearnableChannelMixer

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))


def lentils(images=2, bands=61):
    """Smooth spectra of four materials in round grains, shaded, with noise and a few odd pixels."""
    rng = np.random.default_rng(4)
    wave = np.linspace(0, 1, bands)
    spectra = [0.1 + 0.7 / (1 + np.exp((c - wave) / w)) for c, w in ((0.3, 0.1), (0.6, 0.05))]
    spectra += [0.4 + 0.3 * np.cos(5 * wave), 0.8 * np.exp(-(((wave - 0.7) / 0.2) ** 2))]
    classes = rng.choice(4, (images, 12, 12), p=[0.45, 0.45, 0.08, 0.02])
    cube = np.array(spectra)[classes.repeat(4, 1).repeat(4, 2)]
    cube *= rng.uniform(0.4, 1.2, (images, 48, 48, 1))
    return torch.from_numpy(cube + rng.normal(0, 0.004, cube.shape)).float()


def scene(name):
    if not DATA.is_dir():
        pytest.skip("SPECLOOM_TEST_DATA is not there")
    if name == "salinas":
        content = loadmat(DATA / "salinas_a/SalinasA_corrected.mat")["salinasA_corrected"]
        return torch.from_numpy(content.astype(np.float32))[None]
    path = DATA / "envi_sandiego/SDData"
    bands = np.memmap(path, dtype="<i2", mode="r", shape=(189, 90, 90)).transpose(1, 2, 0)
    return torch.from_numpy(bands.astype(np.float32))[None]


def cubes(name):
    if name == "offset":
        scale = torch.linspace(1.5, 0.5, 61)
        noise = torch.randn(2, 40, 40, 61, generator=torch.Generator().manual_seed(0))
        return 1e4 + noise * scale
    return lentils() if name == "lentils" else scene(name)


def mixer(data, scheme=(16, 8, 3), **params):
    bands = data.shape[-1]
    options = {"init_method": "pca", "reduction_scheme": [bands, *scheme], **params}
    return fit(LearnableChannelMixer(bands, scheme[-1], **options), [{"data": data}])


def components(data, count):
    rows = data.reshape(-1, data.shape[-1]).double().numpy()
    peer = PCA(count, whiten=True, svd_solver="full").fit(rows)
    return peer.transform(rows).reshape(*data.shape[:-1], count)


def correlations(made, want):
    pairs = ((a[..., k], b[..., k]) for a, b in zip(made, want, strict=True) for k in range(3))
    return [np.corrcoef(np.ravel(a), np.ravel(b))[0, 1] for a, b in pairs]


@pytest.mark.parametrize("scheme", [(16, 8, 3), (3,), (5, 4, 3), (3, 3), (80, 7, 3)])
@pytest.mark.parametrize("name", ["lentils", "salinas", "sandiego", "offset"])
def test_the_untrained_output_is_the_projection(name, scheme):
    data = cubes(name)
    if name == "offset" and scheme[0] == 80:
        scheme = (16, 3)
    made = run(mixer(data, scheme), {"data": data})["rgb"]
    assert min(correlations(made, components(data, 3))) > 0.999
    assert float(made.min()) == 0
    assert float(made.max()) == 1


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("scheme", [(16, 8, 3), (5, 4, 3), (3,)])
def test_without_scaling_it_is_the_whitened_projection(scheme, slope):
    data = lentils()
    node = mixer(data, scheme, leaky_relu_negative_slope=slope, normalize_output=False)
    made = run(node, {"data": data})["rgb"]
    np.testing.assert_allclose(made, components(data, 3), atol=2e-3)


@pytest.mark.parametrize("name", ["lentils", "salinas"])
def test_pairs_are_exact_for_data_beyond_those_of_the_fit(name):
    data = cubes(name)
    mean = data.mean((0, 1, 2))
    node = mixer(data, normalize_output=False)
    near, far = (run(node, {"data": mean + x * (data - mean)})["rgb"] for x in (1, -1000))
    torch.testing.assert_close(far, -1000 * near, rtol=1e-3, atol=5)


@pytest.mark.parametrize("scheme", [(16, 8, 3), (5, 4, 3)])
def test_one_hot_pixel_bends_nothing(scheme):
    data = lentils()
    data[0, 5, 5, 30] = -1e4
    made = run(mixer(data, scheme), {"data": data})["rgb"]
    assert min(correlations(made, components(data, 3))) > 0.999


@pytest.mark.parametrize("scheme", [(16, 8, 3), (5, 4, 3), (3,)])
def test_without_leaky_relu_or_bias(scheme):
    data, want = lentils(), components(lentils(), 3)
    made = run(mixer(data, scheme, use_activation=False), {"data": data})["rgb"]
    assert min(correlations(made, want)) > 0.999
    linear = run(mixer(data, scheme, use_activation=False, use_bias=False), {"data": data})["rgb"]
    assert min(correlations(linear, want)) > 0.999
    if scheme != (5, 4, 3):
        bare = mixer(data, scheme, use_bias=False)
        assert not any("bias" in name for name in bare.state())
        assert min(correlations(run(bare, {"data": data})["rgb"], want)) > 0.999


def test_hidden_layers_carry_further_components():
    data = lentils()
    node = mixer(data, normalize_output=False)
    hidden = data.reshape(-1, 61) @ node.weight_0.T + node.bias_0
    want = components(data, 8).reshape(-1, 8)
    np.testing.assert_allclose(hidden[:, :8], want, atol=5e-3)
    np.testing.assert_allclose(hidden[:, 8:], -want, atol=5e-3)


def test_samuelson_bounds_every_sample():
    for count in (2, 30, 2000):
        one_far = np.append(np.zeros(count - 1), 1.0)
        standard = (one_far - one_far.mean()) / one_far.std(ddof=1)
        assert standard.max() <= samuelson_shift(count) + 1e-9
        assert samuelson_shift(count) == 100  # these few would need less
    assert samuelson_shift(250_000) == pytest.approx(500, abs=0.01)
    assert samuelson_shift(10**12) == 10_000


@pytest.mark.parametrize("scheme", [(16, 8, 3), (5, 4, 3), (3,)])
def test_what_the_data_do_not_support_is_constant(scheme):
    base = torch.randn(1, 20, 20, 2, generator=torch.Generator().manual_seed(0))
    data = torch.cat([base, base.sum(-1, keepdim=True), torch.ones(1, 20, 20, 3)], -1)
    with pytest.warns(UserWarning, match=r"support 2 components; the other 1 of 3 channels are"):
        node = mixer(data, scheme)
    made = run(node, {"data": data})["rgb"]
    want = components(data, 2)
    for k in range(2):
        assert np.corrcoef(made[..., k].flatten(), want[..., k].ravel())[0, 1] > 0.999
    assert (made[..., 2] == 0).all()


def test_one_pixel_gives_zeros():
    data = torch.rand(1, 1, 1, 7)
    with pytest.warns(UserWarning, match="1 pixels support 0 components"):
        node = mixer(data)
    assert (run(node, {"data": torch.rand(1, 4, 4, 7)})["rgb"] == 0).all()


def test_only_usable_pixels_are_learned_from():
    data = lentils()
    wild, valid = data.clone(), torch.ones(2, 48, 48, 1, dtype=torch.bool)
    wild[:, :5], valid[:, :5] = 50.0, False
    wild[:, 5, :, 3] = torch.nan
    node = fit(LearnableChannelMixer(61, 3, init_method="pca"), [{"data": wild, "valid": valid}])
    want = fit(LearnableChannelMixer(61, 3, init_method="pca"), [{"data": data[:, 6:]}])
    torch.testing.assert_close(node.weight_0, want.weight_0, rtol=1e-4, atol=1e-4)
    assert "61-3 channels, 4032 pixels (576 excluded)" in node.fit_summary()
    with pytest.raises(NodeError, match="no usable pixel"):
        mixer(torch.full((1, 3, 3, 5), torch.nan), (3,))
