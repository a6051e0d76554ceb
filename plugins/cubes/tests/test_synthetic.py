import numpy as np
import pytest

from specloom import ConfigError
from specloom_cubes.sources import Synthetic
from specloom_cubes.synthetic.belt import BELT, FOREIGN_BODY, LENTIL, STONE

FINGERPRINT = ([827, 3155, 65, 49], [0.0687487, 0.1621914, 0.3171266, 0.3605626])
SMALL = {"scenes": 8, "height": 24, "width": 32, "bands": 9}


def whole(source, split):
    batches = list(source.batches(split))
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ("cube", "mask"))


def test_shapes_types_and_wavelengths():
    source = Synthetic(scenes=8)
    assert source.sizes() == {"H": 64, "W": 64, "C": 61}
    assert [source.count(split) for split in ("train", "val", "test", "predict")] == [1, 1, 1, 1]
    (batch,) = source.batches("train")
    assert batch["cube"].shape == (4, 64, 64, 61)
    assert batch["cube"].dtype == batch["wavelengths"].dtype == np.float32
    assert batch["mask"].dtype == np.int32
    np.testing.assert_array_equal(
        batch["wavelengths"], np.linspace(430, 910, 61).astype(np.float32)
    )
    assert np.isfinite(batch["cube"]).all()
    assert -0.1 < batch["cube"].min() < batch["cube"].max() < 1.2


def test_a_scene_follows_from_seed_and_number_alone():
    one, four = Synthetic(**SMALL, batch_size=1), Synthetic(**SMALL, batch_size=3)
    last = Synthetic(**SMALL).scene(3)
    for split in ("train", "val", "test"):
        for a, b in zip(whole(one, split), whole(four, split), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole(four, "train")[0][3], last[0])
    np.testing.assert_array_equal(whole(four, "train")[1][3], last[1])
    more = Synthetic(**{**SMALL, "scenes": 20})
    np.testing.assert_array_equal(more.scene(3)[0], last[0])


def test_other_seeds_and_numbers_give_other_scenes():
    source, other = Synthetic(**SMALL), Synthetic(**SMALL, seed=8)
    assert (source.scene(0)[0] != source.scene(1)[0]).any()
    assert (source.scene(0)[0] != other.scene(0)[0]).any()


def test_scenes_are_the_same_on_every_machine():
    cube, mask = Synthetic().scene(0)
    assert [int((mask == c).sum()) for c in range(4)] == FINGERPRINT[0]
    np.testing.assert_allclose(cube.mean((0, 1))[::20], FINGERPRINT[1], rtol=1e-5)


def test_class_proportions():
    source = Synthetic(scenes=64, bands=3)
    masks = np.stack([source.scene(n)[1] for n in range(64)])
    share = np.bincount(masks.ravel(), minlength=4) / masks.size
    assert share[LENTIL] > 0.65 > 0.15 < share[BELT]
    assert share[STONE] + share[FOREIGN_BODY] == pytest.approx(0.015, rel=0.25)
    assert share[FOREIGN_BODY] == pytest.approx(2 * share[STONE], rel=0.4)
    clean = (masks <= LENTIL).all((1, 2)).mean()
    assert clean == pytest.approx(0.25, abs=0.15)
    for split in ("train", "val", "test"):
        assert (whole(source, split)[1] > LENTIL).any()


def test_objects_hang_together():
    mask = Synthetic(bands=3).scene(0)[1] == LENTIL
    alike = (mask[1:] == mask[:-1]).mean()
    assert alike > 0.75


def test_plain_rx_finds_most_but_not_all():
    """Difficulty: global RX in float64, fitted on train and scored on test."""
    from sklearn.metrics import roc_auc_score

    source = Synthetic()
    pixels = whole(source, "train")[0].reshape(-1, 61).astype(float)
    mean = pixels.mean(0)
    factor = np.linalg.cholesky(np.cov(pixels.T))

    def scores(cubes):
        return (np.linalg.solve(factor, (cubes.reshape(-1, 61) - mean).T) ** 2).sum(0)

    cut = scores(pixels).mean() + 2 * scores(pixels).std()
    cubes, masks = whole(source, "test")
    found, true = scores(cubes), masks.ravel() > LENTIL
    assert 0.95 < roc_auc_score(true, found) < 0.9995
    iou = ((found >= cut) & true).sum() / ((found >= cut) | true).sum()
    assert 0.6 < iou < 0.8


def test_splits_do_not_overlap():
    ranges = Synthetic(scenes=7, split=(0.6, 0.2, 0.2))._ranges()
    numbers = [n for split in ("train", "val", "test") for n in ranges[split]]
    assert numbers == list(range(7))
    assert list(Synthetic(scenes=4, split=(1.0, 0.0, 0.0)).splits()) == ["train"]


def test_the_cache_gives_the_same_scenes(tmp_path):
    plain = Synthetic(**SMALL)
    for _ in range(2):
        cached = Synthetic(**SMALL, cache=str(tmp_path / "scenes"))
        for a, b in zip(whole(plain, "val"), whole(cached, "val"), strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    list(Synthetic(**SMALL, seed=8, cache=str(tmp_path / "scenes")).batches("val"))
    assert len(list(tmp_path.rglob("*.npz"))) == 4


def test_memory_is_bounded(monkeypatch):
    source = Synthetic(**SMALL)
    one = sum(array.nbytes for array in source.scene(0))
    monkeypatch.setattr("specloom_cubes.sources.synthetic.CACHE_BYTES", 3 * one)
    first = whole(source, "train")[0]
    assert len(source._cached) == 3
    np.testing.assert_array_equal(whole(source, "train")[0], first)


def test_scenes_without_anomalies_and_one_variety():
    source = Synthetic(**SMALL, anomalies=(), varieties=("green",))
    assert whole(source, "train")[1].max() == LENTIL
    assert Synthetic(scenes=1, height=1, width=2, bands=1).scene(0)[0].shape == (1, 2, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": (0.5, 0.5, 0.5)}, "is not three shares that sum to 1"),
        ({"split": (1.5, -0.5, 0.0)}, "is not three shares that sum to 1"),
        ({"scenes": 0}, "scenes is 0"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"anomaly_fraction": 1.0}, "anomaly_fraction is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"lentil_diameter": 1.0}, "lentil_diameter is 1.0"),
        ({"varieties": ()}, "varieties is ()"),
        ({"anomalies": ("stones",)}, "there is no material 'stones'\n  fix: did you mean 'stone'?"),
    ],
)
def test_wrong_parameters(wrong, message):
    with pytest.raises(ConfigError) as error:
        next(Synthetic(**{**SMALL, **wrong}).batches("train"))
    assert message in str(error.value)
