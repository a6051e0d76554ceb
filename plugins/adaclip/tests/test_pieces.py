"""Smoothing, pictures, prompts and clusters, each against an independent reference."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans

from specloom import ConfigError
from specloom_adaclip.model.adaclip import quarters
from specloom_adaclip.model.anomaly_maps import smooth
from specloom_adaclip.model.fusion import device_labels, fuse, most_suspicious, sklearn_labels
from specloom_adaclip.model.preprocessing import (
    fill_with_mean,
    finite_pixels,
    resize_bytes,
    resize_floats,
    to_bytes,
)
from specloom_adaclip.model.prompts import Nouns, parse_nouns, sentences


@pytest.mark.parametrize(("size", "sigma"), [(40, 4.0), (9, 4.0), (3, 1.3), (1, 2.0), (17, 0.1)])
def test_smoothing_equals_scipy_also_where_the_filter_is_wider_than_the_map(size, sigma):
    maps = torch.rand(2, size, size)
    want = [gaussian_filter(one.double().numpy(), sigma) for one in maps]
    np.testing.assert_allclose(smooth(maps, sigma).numpy(), want, atol=1e-6)
    assert smooth(maps, 0.0) is maps


def test_smoothing_has_a_gradient():
    maps = torch.rand(1, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: smooth(x, 0.7), [maps])


def test_pictures_are_rounded_without_gradients_alone():
    rgb = torch.tensor([0.0, 0.1, 0.5, 1.0, 1.7, -3.0]).view(1, 2, 3, 1).expand(-1, -1, -1, 3)
    assert to_bytes(rgb)[0, 0].tolist() == [[0, 26, 128], [255, 255, 0]]
    assert resize_bytes(to_bytes(rgb)[..., :2], 2).dtype == torch.uint8
    floats = rgb[:, :, :2].clone().requires_grad_()
    resize_floats(floats, 4).sum().backward()
    assert floats.grad.abs().sum() > 0


def test_what_is_not_finite_becomes_the_mean_colour_of_its_image():
    rgb = torch.rand(3, 4, 5, 3)
    rgb[1, 2, 3, 1] = torch.nan
    rgb[2] = torch.inf
    good = finite_pixels(rgb)
    assert good.sum((1, 2, 3)).tolist() == [20, 19, 0]
    done = fill_with_mean(rgb, good)
    assert torch.equal(done[0], rgb[0])
    torch.testing.assert_close(done[1, 2, 3], rgb[1][good[1, ..., 0]].mean(0))
    assert (done[2] == 0.5).all()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("normal: lentils, anomaly: stones", Nouns("lentils", "stones")),
        ("Normal:red lentils,Abnormal: stones, glass", Nouns("red lentils", "stones, glass")),
        ("metal-nut", Nouns("metal-nut", "metal-nut")),
        ("", Nouns("", "")),
    ],
)
def test_prompts_are_class_names_or_pairs(text, want):
    assert parse_nouns(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "normal: lentils",
        "anomaly: stones",
        "normal: a; anomaly: b",
        "normal lentils, anomaly: stones",
    ],
)
def test_half_a_pair_is_refused(text):
    with pytest.raises(ConfigError, match="is half a pair of nouns"):
        parse_nouns(text)


def test_each_list_of_sentences_has_its_own_noun():
    normal, abnormal = sentences(Nouns("lentil {x}", "stone"), "cubert")
    assert (len(normal), len(abnormal)) == (40, 32)
    assert all("lentil {x}" in one and "stone" not in one for one in normal)
    assert abnormal[-1] == "a cropped photo of the stone with contamination."


def test_taps_are_at_the_quarters():
    assert [quarters(n) for n in (4, 8, 12, 24, 27, 32)] == [
        (1, 2, 3, 4),
        (2, 4, 6, 8),
        (3, 6, 9, 12),
        (6, 12, 18, 24),
        (6, 12, 18, 24),
        (8, 16, 24, 32),
    ]


def groups(images=2, each=15, dimensions=12):
    """Three groups of features for each image, far apart, in some order."""
    torch.manual_seed(0)
    which = torch.stack([torch.randperm(3 * each) % 3 for _ in range(images)])
    centres = 3 * torch.randn(images, 3, dimensions)
    rows = which[..., None].expand(-1, -1, dimensions)
    return centres.gather(1, rows) + 0.1 * torch.randn(images, 3 * each, dimensions), which


@pytest.mark.parametrize("clustering", [sklearn_labels, device_labels])
def test_clusters_are_found(clustering):
    features, which = groups()
    found = clustering(features, 3)
    for labels, want in zip(found, which, strict=True):
        pairs = set(zip(labels.tolist(), want.tolist(), strict=True))
        assert len(pairs) == 3
    assert torch.equal(found[1:], clustering(features[1:], 3))


def test_the_device_version_is_about_as_good_as_scikit_learn():
    features = torch.randn(4, 100, 16)

    def inertia(labels):
        return sum(
            float((one[labels[i] == c] - one[labels[i] == c].mean(0)).square().sum())
            for i, one in enumerate(features)
            for c in labels[i].unique()
        )

    reference = inertia(sklearn_labels(features, 20))
    assert inertia(device_labels(features, 20)) < 1.1 * reference


def test_clusters_of_equal_patches_do_no_harm():
    patches = torch.nn.functional.normalize(torch.ones(2, 10, 4, 6), dim=-1)
    for clustering in (sklearn_labels, device_labels):
        labels = clustering(patches.flatten(2), 5)
        assert torch.isfinite(fuse(patches, labels, 5)).all()


def test_fusion_is_the_mean_of_the_centres():
    patches = torch.nn.functional.normalize(torch.randn(1, 12, 4, 6), dim=-1)
    labels = torch.from_numpy(KMeans(3, random_state=0).fit(patches[0].flatten(1)).labels_).long()
    centres = [patches[0][labels == c].reshape(-1, 6).mean(0) for c in range(3)]
    want = torch.stack(centres).mean(0)
    torch.testing.assert_close(fuse(patches, labels[None], 3)[0], want / want.norm())
    logits = torch.tensor([[[0.0, 1.0], [5.0, 1.0], [0.0, 9.0]]])
    assert most_suspicious(logits, 2).tolist() == [[2, 0]]
    assert most_suspicious(logits, 99).shape == (1, 3)
