import os
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from scipy.io import loadmat

from specloom import ConfigError
from specloom.graph.ported import build
from specloom_pictures.anomaly_mask import AnomalyMask
from specloom_pictures.paint import EXCLUDED, FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))


def pictures(node, *batches):
    node.measure_start("val")
    for batch in batches:
        assert node(**batch) == {}
    made = node.measure_end()
    assert list(made) == ["artifacts"]
    for picture in made["artifacts"].values():
        assert (picture.dtype, picture.ndim, picture.shape[-1]) == (np.uint8, 3, 3)
    return made["artifacts"]


def batch(images=2, size=12, seed=0):
    torch.manual_seed(seed)
    truth = torch.zeros(images, size, size, 1, dtype=torch.bool)
    truth[0, 2:5, 2:5] = True  # further images have no anomaly
    decided = torch.rand(truth.shape) > 0.5
    return {"cube": torch.rand(images, size, size, 4), "mask": truth, "decisions": decided}


def test_every_pixel_has_the_colour_of_what_it_is():
    data = batch()
    made = pictures(AnomalyMask(channel=2), data)
    assert list(made) == ["image_0", "image_1", "legend"]
    for i in range(2):
        picture, cube = made[f"image_{i}"], data["cube"][i, ..., 2].double().numpy()
        truth, decided = (data[name][i, ..., 0].numpy() for name in ("mask", "decisions"))
        ordered = np.sort(cube.ravel())
        low, high = ordered[143 // 100], ordered[143 - 143 // 100]
        grey = np.round(np.clip((cube - low) / (high - low), 0, 1) * 255)
        assert (picture[~truth & ~decided] == grey[~truth & ~decided][:, None]).all()
        assert (picture[truth & decided] == TRUE_POSITIVE).all()
        assert (picture[~truth & decided] == FALSE_POSITIVE).all()
        assert (picture[truth & ~decided] == FALSE_NEGATIVE).all()
    assert not (made["image_1"] == TRUE_POSITIVE).all(-1).any()
    assert (made["image_1"] == FALSE_POSITIVE).all(-1).any()


def test_pixels_that_do_not_count_have_their_own_colour_only():
    data = batch()
    data["valid"] = torch.ones_like(data["mask"])
    data["valid"][0, 0, :] = False
    data["cube"][0, 3, 3, 0] = torch.nan  # a hit or a miss, in a channel that is not shown
    data["cube"][1, 4, 4, 2] = torch.inf
    made = pictures(AnomalyMask(channel=2), data)
    out = [(made[f"image_{i}"] == EXCLUDED).all(-1) for i in range(2)]
    assert out[0].sum() == 12 + 1
    assert out[0][0].all()
    assert out[0][3, 3]
    assert np.argwhere(out[1]).tolist() == [[4, 4]]


def test_an_image_of_which_no_pixel_counts_is_neutral_throughout():
    data = batch(images=1)
    data["cube"][:] = torch.nan
    assert (pictures(AnomalyMask(channel=0), data)["image_0"] == EXCLUDED).all()


def test_scores_are_a_heat_map_from_lowest_to_highest():
    data = batch(images=1)
    scores = torch.arange(144.0).view(1, 12, 12, 1)
    scores[0, 11, 11] = torch.nan
    data["scores"] = scores
    made = pictures(AnomalyMask(channel=0), data)
    levels = np.round(np.arange(143) / 142 * 255).astype(int)
    want = (np.array(colormaps["cividis"].colors) * 255)[levels]
    heat = made["scores_0"].reshape(-1, 3)
    assert np.abs(heat[:-1] - want).max() <= 1
    for name in ("scores_0", "image_0"):  # metrics leave out pixels of score NaN, so does this
        assert made[name][11, 11].tolist() == list(EXCLUDED)


@pytest.mark.parametrize("up_to", [1, 3, 5])
def test_only_the_first_images_are_stored(up_to):
    whole = batch(images=6)
    parts = [{k: v[i : i + 2] for k, v in whole.items()} for i in (0, 2, 4)]
    node, every = AnomalyMask(channel=1, up_to=up_to), pictures(AnomalyMask(channel=1), whole)
    made = pictures(node, *parts)
    assert len(every) == 6 + 1
    assert list(made) == [*(f"image_{i}" for i in range(up_to)), "legend"]
    for name, picture in made.items():
        np.testing.assert_array_equal(picture, every[name])
    node.measure_start("val")
    for part in parts * 20:
        node(**part)
    assert sum(levels.numel() for levels in node._images._batches) == up_to * 12 * 12 * 2


def test_nothing_is_left_for_the_next_stage():
    node = AnomalyMask(channel=1)
    assert len(pictures(node, batch())) == 3
    assert node.measure_end() == {"artifacts": {}}
    node(**batch())
    node.measure_start("test")
    assert node.measure_end() == {"artifacts": {}}


def test_wrong_parameters_are_reported():
    with pytest.raises(ConfigError) as raised:
        build(AnomalyMask(channel=61, name="mask"), {"C": 61})
    assert raised.value.what == (
        "node 'mask' (AnomalyMask) shows channel 61, but the cubes have 61 bands"
    )
    assert raised.value.fix == "choose from 0 to 60"
    with pytest.raises(ConfigError, match="has up_to=0"):
        build(AnomalyMask(channel=0, up_to=0), {"C": 61})
    with pytest.raises(ConfigError, match="shows channel -1"):
        build(AnomalyMask(channel=-1), {"C": 61})


def test_it_runs_where_metrics_of_a_split_are_taken():
    assert AnomalyMask.stages == ("val", "test")


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
def test_a_real_scene_shows_each_pixel_once():
    scene = loadmat(DATA / "abu/abu-airport-1.mat")
    cube = torch.from_numpy(scene["data"].astype(np.float32))[None]
    truth = torch.from_numpy(scene["map"] > 0)[None, ..., None]
    scores = (cube - cube.mean((1, 2))).square().sum(-1, keepdim=True)
    decided = scores > scores.flatten().quantile(0.98)
    node = AnomalyMask(channel=30, up_to=1)
    made = pictures(node, {"cube": cube, "mask": truth, "decisions": decided, "scores": scores})
    colours, counts = np.unique(made["image_0"].reshape(-1, 3), axis=0, return_counts=True)
    found = dict(zip(map(tuple, colours.tolist()), counts.tolist(), strict=True))
    assert found.get(TRUE_POSITIVE, 0) == int((truth & decided).sum())
    assert found[FALSE_POSITIVE] == int((~truth & decided).sum())
    assert found[FALSE_NEGATIVE] == int((truth & ~decided).sum())
    assert EXCLUDED not in found
