"""The bands that show most, held against SciPy image by image."""

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.ndimage import laplace

from specloom import ConfigError, DataError
from specloom_bands.contrast import contrast
from specloom_bands.high_contrast import HighContrastBandSelector

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
NM = torch.linspace(400, 1000, 61)
WINDOWS = ((440, 500), (500, 580), (610, 700))


def cubes(images=3, height=9, width=7, bands=61, seed=0):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.5, 2, (images, 1, 1, bands))
    return torch.tensor(rng.normal(5, 1, (images, height, width, bands)) * scale).float()


def reference(cube, alpha=0.1):
    """Variance + alpha * mean |Laplacian| of each image and band, by NumPy and SciPy."""
    bands = [np.moveaxis(image, -1, 0) for image in cube.double().numpy()]
    edges = [[np.abs(laplace(band, mode="reflect")).mean() for band in one] for one in bands]
    return np.array([one.var((1, 2)) for one in bands]) + alpha * np.array(edges)


def best(scores, centres=NM, windows=WINDOWS):
    """The three distinct bands, red first, with the largest sum, of all that there are."""
    inside = [[i for i, nm in enumerate(centres) if a <= nm <= b] for a, b in windows[::-1]]
    distinct = (chosen for chosen in product(*inside) if len(set(chosen)) == 3)
    return list(max(distinct, key=lambda chosen: sum(scores[i] for i in chosen)))


def chosen(made):
    return [record["band_indices"].tolist() for record in made["band_info"]]


@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
@pytest.mark.parametrize("shape", [(9, 7), (1, 5), (5, 1), (1, 1), (2, 2), (70, 90)])
def test_scores_are_those_of_scipy(shape, alpha):
    cube = cubes(2, *shape, bands=50)
    want = reference(cube, alpha)
    np.testing.assert_allclose(contrast(cube, alpha).numpy(), want, rtol=1e-12, atol=1e-12)


def test_each_image_has_its_own_best_bands():
    cube = cubes(6)
    made = HighContrastBandSelector()(cube=cube, wavelengths=NM)
    want = [best(scores) for scores in reference(cube)]
    assert chosen(made) == want
    assert len({tuple(one) for one in want}) > 1
    scores = reference(cube)
    for image, record in enumerate(made["band_info"]):
        assert record["strategy"] == "high_contrast"
        assert record["band_wavelengths_nm"].tolist() == pytest.approx(NM[want[image]].tolist())
        assert record["target_wavelengths_nm"].tolist() == [655, 540, 470]
        middles = torch.tensor([655, 540, 470])
        away = (NM[want[image]] - middles).abs().tolist()
        assert record["distance_nm"].tolist() == pytest.approx(away)
        assert record["contrast"].tolist() == pytest.approx(scores[image, want[image]])


def test_windows_are_given_blue_first_and_the_picture_is_red_first():
    cube = torch.full((1, 4, 4, 61), 0.1)
    cube[0, 1:3, 1:3, (NM >= 610) & (NM <= 700)] = 0.9
    cube[0, 0, 0, NM < 600] = 0.2
    made = HighContrastBandSelector(stretch=None)(cube=cube, wavelengths=NM)["rgb_image"]
    assert made[0, 1, 1].tolist() == [1, 0, 0]
    assert made[0, 0, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "windows",
    [
        ((440, 500), (500, 580), (580, 700)),  # touching
        ((400, 700), (400, 700), (400, 700)),  # the same
        ((500, 520), (400, 900), (510, 520)),  # within each other
        ((600, 610), (600, 600), (600, 620)),  # one has a single band
    ],
)
def test_never_the_same_band_twice(windows):
    cube = cubes(8, seed=3)
    cube[..., 10] *= 4  # 500 nm, where windows touch, is the best band of several
    cube[..., 20] *= 4
    made = chosen(HighContrastBandSelector(windows)(cube=cube, wavelengths=NM))
    assert all(len(set(one)) == 3 for one in made)
    want = [best(scores, windows=windows) for scores in reference(cube)]
    if len(set(windows)) == 1:  # then any order has the same sum
        made, want = [sorted(one) for one in made], [sorted(one) for one in want]
    assert made == want


def test_bands_that_are_equal_tie_to_the_first():
    cube = cubes(2, 40, 33)
    cube[:] = cube[..., 7:8]
    made = HighContrastBandSelector()(cube=cube, wavelengths=NM)
    assert chosen(made) == [[21, 10, 4]] * 2


def test_a_batch_is_its_images_bit_for_bit():
    cube = cubes(4, 33, 29)
    valid = torch.rand(4, 33, 29, 1, generator=torch.Generator().manual_seed(0)) > 0.2
    selector = HighContrastBandSelector()
    whole = selector(cube=cube, wavelengths=NM, valid=valid)
    singles = [
        selector(cube=cube[i : i + 1], wavelengths=NM, valid=valid[i : i + 1]) for i in range(4)
    ]
    assert torch.equal(whole["rgb_image"], torch.cat([one["rgb_image"] for one in singles]))
    for record, one in zip(whole["band_info"], singles, strict=True):
        assert torch.equal(record["band_indices"], one["band_info"][0]["band_indices"])
        assert torch.equal(record["contrast"], one["band_info"][0]["contrast"])


def test_wavelengths_in_any_order():
    order = torch.randperm(61, generator=torch.Generator().manual_seed(2))
    cube = cubes(2)
    want = HighContrastBandSelector()(cube=cube, wavelengths=NM)
    got = HighContrastBandSelector()(cube=cube[..., order], wavelengths=NM[order])
    assert torch.equal(got["rgb_image"], want["rgb_image"])


def test_nothing_waits_for_the_device():
    cube = torch.empty(2, 5, 7, 61, device="meta")  # has no values that could be asked for
    valid = torch.empty(2, 5, 7, 1, dtype=torch.bool, device="meta")
    made = HighContrastBandSelector()(cube=cube, wavelengths=NM, valid=valid)
    assert made["rgb_image"].shape == (2, 5, 7, 3)
    assert made["band_info"][1]["band_indices"].device.type == "meta"


@pytest.mark.parametrize(
    ("windows", "error", "message"),
    [
        (
            ((440, 500), (500, 580), (1100, 1200)),
            DataError,
            r"no band lies in the window 1100 to 1200 nm: the data have 61 from 400 to 1000 nm\n",
        ),
        (((450, 450), (450, 450), (610, 700)), DataError, "share too few bands to have one each"),
        (((500, 440), (500, 580), (610, 700)), ConfigError, "three ranges in nm"),
        (((440, 500), (610, 700)), ConfigError, r"windows\[2\] is missing"),
        (((0.44, 0.5), (0.5, 0.58), (0.61, 0.7)), ConfigError, "three ranges in nm"),
    ],
)
def test_windows_that_give_no_picture(windows, error, message):
    with pytest.raises(error, match=message):
        HighContrastBandSelector(windows)(cube=cubes(1), wavelengths=NM)


def test_a_negative_alpha():
    with pytest.raises(ConfigError, match="alpha is -1"):
        HighContrastBandSelector(alpha=-1.0).build({"C": 61})


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
def test_a_scene_whose_spectrometers_overlap():
    scene = loadmat(DATA / "aviris_santa_barbara" / "a_hsi_img_for_VI_demo.mat")
    centres = torch.tensor(scene["wavelengths"].ravel()).float()
    assert (centres.diff() < 0).any()
    cube = torch.tensor(scene["hsi_img"].astype("float32"))[None]
    made = HighContrastBandSelector()(cube=cube, wavelengths=centres)
    assert chosen(made) == [best(reference(cube)[0], centres.tolist())]
    assert made["rgb_image"].isfinite().all()
