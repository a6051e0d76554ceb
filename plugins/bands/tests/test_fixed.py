"""Fixed wavelengths: the order of the channels, and what a camera lacks."""

import warnings

import pytest
import torch

from specloom import ConfigError, DataError
from specloom_bands.baseline import BaselineFalseRGBSelector
from specloom_bands.cir import CIRFalseColorSelector

NM = torch.linspace(400, 1000, 61)
CUBE = torch.rand(2, 5, 4, 61, generator=torch.Generator().manual_seed(0))


def with_patch(low, high):
    """A dim cube with a patch that reflects from ``low`` to ``high`` nm only."""
    cube = torch.full((1, 4, 4, 61), 0.1)
    cube[0, 1:3, 1:3, (low <= NM) & (high >= NM)] = 0.9
    return cube


def test_a_red_patch_is_red():
    made = BaselineFalseRGBSelector()(cube=with_patch(600, 700), wavelengths=NM)
    assert made["rgb_image"][0, 1, 1].tolist() == [1, 0, 0]
    blue = BaselineFalseRGBSelector()(cube=with_patch(400, 500), wavelengths=NM)
    assert blue["rgb_image"][0, 1, 1].tolist() == [0, 0, 1]


def test_infrared_is_red_in_cir():
    selector = CIRFalseColorSelector()
    made = selector(cube=with_patch(800, 900), wavelengths=NM)
    assert made["rgb_image"][0, 1, 1].tolist() == [1, 0, 0]
    assert selector(cube=with_patch(640, 700), wavelengths=NM)["rgb_image"][0, 1, 1].tolist() == [
        0,
        1,
        0,
    ]
    assert made["band_info"] == {
        "strategy": "cir_false_color",
        "band_indices": [46, 27, 16],
        "band_wavelengths_nm": [860.0, 670.0, 560.0],
        "target_wavelengths_nm": [860.0, 670.0, 560.0],
        "distance_nm": [0.0, 0.0, 0.0],
        "channel_mapping": {"R": "NIR", "G": "Red", "B": "Green"},
    }


def test_band_info_says_how_far_each_band_is():
    centres = torch.tensor([447.8, 551.2, 600.0, 648.5])
    selector = BaselineFalseRGBSelector(target_wavelengths=(650.0, 550.0, 450.0))
    made = selector(cube=torch.rand(2, 3, 3, 4), wavelengths=centres)["band_info"]
    assert made == {
        "strategy": "baseline_false_rgb",
        "band_indices": [3, 1, 0],
        "band_wavelengths_nm": [648.5, 551.2, 447.8],
        "target_wavelengths_nm": [650.0, 550.0, 450.0],
        "distance_nm": [1.5, 1.2, 2.2],
    }


def test_a_camera_that_ends_at_700_nm_is_told_so():
    cube, centres = CUBE[..., :31], NM[:31]
    message = (
        r"^CIRFalseColorSelector: the data have no band at 860 nm: the nearest of 400 to 700 nm "
        r"is at 700 nm, 160 nm away$"
    )
    for tolerance in (None, 200.0):
        with pytest.warns(UserWarning, match=message):
            CIRFalseColorSelector(tolerance_nm=tolerance)(cube=cube, wavelengths=centres)
    strict = CIRFalseColorSelector(tolerance_nm=20)
    with pytest.raises(
        DataError,
        match=r"no band at 860 nm.* 160 nm away \(tolerance_nm is 20\)\n  fix: .* of 160 or more",
    ):
        strict(cube=cube, wavelengths=centres)


def test_twenty_nanometres_are_near_enough():
    cube = torch.rand(1, 2, 2, 3)
    selector = BaselineFalseRGBSelector(tolerance_nm=20)
    selector(cube=cube, wavelengths=torch.tensor([630, 570, 470]))
    with pytest.raises(DataError, match=r"20\.1 nm away"):
        selector(cube=cube, wavelengths=torch.tensor([629.9, 570, 470]))


def test_wavelengths_in_any_order_and_whole_numbers():
    order = torch.randperm(61, generator=torch.Generator().manual_seed(2))
    want = BaselineFalseRGBSelector()(cube=CUBE, wavelengths=NM)
    got = BaselineFalseRGBSelector()(cube=CUBE[..., order], wavelengths=NM[order].int())
    assert torch.equal(got["rgb_image"], want["rgb_image"])
    assert got["band_info"]["band_wavelengths_nm"] == want["band_info"]["band_wavelengths_nm"]


@pytest.mark.parametrize(
    ("centres", "message"),
    [
        (NM / 1000, r"the wavelengths, 0.4 to 1, are micrometres, not nano.*\n  fix: multiply"),
        (NM[:60], "there are 60 wavelengths for 61 bands"),
        (NM - 500, "not positive numbers"),
        (NM.where(NM > 400, torch.nan), "not positive numbers"),
    ],
)
def test_wavelengths_that_are_none(centres, message):
    with pytest.raises(DataError, match=message):
        BaselineFalseRGBSelector()(cube=CUBE, wavelengths=centres)


def test_the_choice_is_kept_until_wavelengths_or_parameters_change(monkeypatch):
    selector, chosen = BaselineFalseRGBSelector(), []
    plain = selector._choose
    monkeypatch.setattr(selector, "_choose", lambda nm: chosen.append(1) or plain(nm))
    runs = [selector(cube=CUBE, wavelengths=NM.clone())["band_info"] for _ in range(3)]
    assert len(chosen) == 1
    assert runs[0] == runs[1] == runs[2]
    runs[0]["band_indices"][0] = 99
    assert selector(cube=CUBE, wavelengths=NM)["band_info"] == runs[1]
    assert selector(cube=CUBE, wavelengths=NM + 10)["band_info"]["band_indices"] == [24, 14, 4]
    selector.target_wavelengths = (660.0, 560.0, 460.0)
    assert selector(cube=CUBE, wavelengths=NM + 10)["band_info"]["band_indices"] == [25, 15, 5]
    assert len(chosen) == 3


def test_the_nearest_band_and_the_first_of_two():
    near = BaselineFalseRGBSelector.nearest_band
    assert near([500.0, 400.0, 600.0], 430) == 1
    assert near([640.0, 660.0], 650) == 0
    assert near(torch.tensor([660, 640]), 650) == 0
    with pytest.raises(DataError, match="micrometres"):
        near([0.4, 0.5], 450)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (BaselineFalseRGBSelector((0.65, 0.55, 0.45)), r"wavelengths are \[0.65, 0.55, 0.45\]"),
        (CIRFalseColorSelector(nir_nm=-1), r"wavelengths are \[-1.0, 670.0, 560.0\]"),
        (CIRFalseColorSelector(tolerance_nm=-5), "tolerance_nm is -5"),
    ],
)
def test_parameters_that_are_wrong(selector, message):
    for act in (lambda: selector.build({"C": 61}), lambda: selector(cube=CUBE, wavelengths=NM)):
        with pytest.raises(ConfigError, match=message):
            act()


def test_two_wavelengths_are_no_picture():
    with pytest.raises(ConfigError, match=r"target_wavelengths\[2\] is missing, got"):
        BaselineFalseRGBSelector((650.0, 550.0))


@pytest.mark.parametrize("selector", [BaselineFalseRGBSelector(), CIRFalseColorSelector()])
def test_nothing_waits_for_the_device_and_near_bands_are_no_warning(selector):
    cube = torch.empty(2, 5, 7, 61, device="meta")  # has no values that could be asked for
    valid = torch.empty(2, 5, 7, 1, dtype=torch.bool, device="meta")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = selector(cube=cube, wavelengths=NM, valid=valid)
    assert made["rgb_image"].device.type == "meta"
