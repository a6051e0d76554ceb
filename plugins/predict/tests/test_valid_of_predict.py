"""``--valid``: other files of valid pixels than those of the fit."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from specloom import ConfigError, DataError, Pipeline, Plugins
from specloom_cubes import AnomalyDataNode, Folder, Scene
from specloom_predict import Predictor, predict, predict_all
from specloom_predict.command import predict as command

SIZE = (6, 5)
LEFT = np.zeros(SIZE, np.uint8)
LEFT[:, :2] = 255
TOP = np.zeros(SIZE, np.uint8)
TOP[:3] = 1


@pytest.fixture
def cubes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    for name in "ab":
        np.save(f"{name}.npy", random.random((*SIZE, 3), np.float32))
        np.save(f"{name}_roi.npy", LEFT)
        np.save(f"{name}_top.npy", TOP)
    np.save("only.npy", TOP)
    return tmp_path


def saved(source):
    """A pipeline of a data node alone, whose valid pixels stand for decisions."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"decisions": "data.valid"}
    pipeline.graph(source)
    pipeline.save_to_file("pipeline.yaml")
    return "pipeline.yaml"


@pytest.fixture
def fitted(cubes):
    split = {"train": ["a", "b"]}
    return saved(Folder(".", pattern="[ab].npy", split=split, valid="*_roi.npy", masks=None))


@pytest.mark.parametrize(
    ("valid", "want"),
    [
        (None, LEFT),
        ("*_roi.npy", LEFT),
        ("*_top.npy", TOP),
        ("only.npy", TOP),
        ("all", np.ones(SIZE)),
    ],
)
def test_which_pixels_count(fitted, valid, want):
    made = predict(fitted, "a.npy", valid=valid)
    np.testing.assert_array_equal(made.arrays["decisions"], want > 0)
    arguments = [fitted, "a.npy", "--out", "out"]
    if valid is not None:
        arguments += ["--valid", valid]
    assert CliRunner().invoke(command, arguments, catch_exceptions=False).exit_code == 0
    np.testing.assert_array_equal(np.load("out/a/decisions.npy"), want > 0)


def test_another_file_makes_results_again(fitted, cubes):
    for valid, done in (("*_top.npy", 2), ("*_top.npy", 0), ("all", 2), (None, 2)):
        summary = predict_all(fitted, ["[ab].npy"], "out", valid=valid)
        assert len(summary.done) == done
    np.save("only.npy", LEFT)
    assert len(predict_all(fitted, ["a.npy"], "one", valid="only.npy").done) == 1
    np.save("only.npy", TOP)
    assert len(predict_all(fitted, ["a.npy"], "one", valid="only.npy").done) == 1
    summary = json.loads((cubes / "one/a/predict.json").read_text())
    assert summary["pixels"] == 30


def test_tiles_of_a_split_cube_have_the_same_pixels(fitted):
    options = {"tile_bytes": 60, "split_above": 100}
    predict_all(fitted, ["a.npy"], "split", valid="only.npy", **options)
    np.testing.assert_array_equal(np.load("split/a/decisions.npy"), TOP > 0)


def test_one_file_for_several_cubes_is_refused(fitted):
    with pytest.raises(ConfigError) as caught:
        predict_all(fitted, ["a.npy", "b.npy"], "out", valid="only.npy")
    assert str(caught.value) == (
        "--valid only.npy: it is one file, and there are 2 cubes\n"
        "  fix: write * for the name of a cube, as in '*_roi.png'"
    )


def test_a_file_that_is_missing(fitted, cubes):
    with pytest.raises(DataError) as caught:
        Predictor(fitted, valid="none.npy").predict("a.npy")
    assert "none.npy" in str(caught.value)
    summary = predict_all(fitted, ["a.npy"], "out", valid="*_absent.npy")
    ((_, error),) = summary.failed
    assert "a_absent.npy" in str(error)
    assert "--valid" in str(error)


def test_a_pipeline_that_was_fitted_with_one_file_names_the_option(cubes):
    file = saved(Scene("a.npy", valid="a_roi.npy"))
    made = predict(file, "b.npy")
    (note,) = made.notes
    assert "fix: use --valid with the files of these cubes" in note
    made = predict(file, "b.npy", valid="*_top.npy")
    assert made.notes == ()
    np.testing.assert_array_equal(made.arrays["decisions"], TOP > 0)
