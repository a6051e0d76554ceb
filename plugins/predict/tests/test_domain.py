"""Cubes that are unlike what the pipeline was fitted on, and pixels that could not be judged."""

import json
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import IntegrityError, Pipeline, Plugins
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_deciders import BinaryDecider
from specloom_predict import Predictor, predict, predict_all
from specloom_predict.command import predict as command
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import StatisticalTrainer

BANDS = 8
SHAPES = np.stack([np.linspace(1, 2, BANDS), np.linspace(2, 1, BANDS)])
NOT_COMPARED = "cubes cannot be compared with what the pipeline was fitted on"
UNLIKE = "unlike what the pipeline was fitted on: "


def scene(seed, height=24, width=20):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet([1, 1], (height, width))
    cube = 100 * shares @ SHAPES + generator.normal(scale=0.5, size=(height, width, BANDS))
    return cube.astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a fitted pipeline."""
    folder = tmp_path_factory.mktemp("run")
    pipeline = Pipeline("rx", Plugins())
    data, rx = AnomalyDataNode([0], name="data"), RXGlobal(name="rx")
    logits, decider = ScoreToLogit(name="logits"), BinaryDecider(name="decider")
    pipeline.connect((data.cube, rx.data), (data.valid, rx.valid), (rx.scores, logits.scores))
    pipeline.connect((data.valid, logits.valid), (logits.logits, decider.logits))
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    source = InMemory(train=[{"cube": scene(1)[None]}, {"cube": scene(2)[None]}])
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


def saved(path, cube):
    np.save(path, cube)
    return path


def test_a_good_cube_has_a_measure_and_no_note(run, tmp_path):
    made = predict(run, saved(tmp_path / "good.npy", scene(5)))
    assert made.notes == ()
    assert (made.unjudged, made.pixels) == (0, 480)
    assert made.domain.is_like
    assert 0.3 < made.domain.scores < 0.7


def test_tiles_do_not_change_the_measure(run, tmp_path):
    path = saved(tmp_path / "good.npy", scene(5, 60, 50))
    whole = predict(run, path)
    tiles = predict(run, path, tile_bytes=2000)
    assert tiles.domain == whole.domain


def test_the_record_is_saved_and_hashed_with_the_weights(run, tmp_path):
    graph = Pipeline.load(run / "pipeline.yaml").graph()
    assert set(graph.fitted_on) == {"pixels", "quantiles", "counts"}
    assert graph.fitted_on["counts"].tolist() == [960, 960, 0]
    for name in ("pipeline.yaml", "pipeline.safetensors"):
        content = bytearray((run / name).read_bytes())
        if name.endswith("safetensors"):
            at = content.index(b"batch.pixels")
            assert at > 0
            content[-1] ^= 1
        (tmp_path / name).write_bytes(content)
    with pytest.raises(IntegrityError, match="is not the file that was saved"):
        Pipeline.load(tmp_path / "pipeline.yaml")


def test_strict_call_reports_unlike_cubes(run, tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    saved(folder / "good.npy", scene(5))
    saved(folder / "half.npy", scene(5) / 2)
    holes = scene(5)
    holes[:18] = np.nan
    saved(folder / "holes.npy", holes)
    out = tmp_path / "out"
    arguments = [str(run), str(folder), "--out", str(out)]
    plain = CliRunner().invoke(command, arguments)
    assert plain.exit_code == 0, plain.output
    assert f"half.npy: {UNLIKE}too dark: 0.5" in plain.output
    assert f"holes.npy: {UNLIKE}75% of the pixels could not be judged" in plain.output
    assert '2 of 3 cubes unlike what the pipeline was fitted on; see "domain"' in plain.output
    assert "360 of 1440 pixels could not be assessed" in plain.output
    record = json.loads((out / "holes/predict.json").read_text())
    assert (record["pixels"], record["unjudged"]) == (480, 360)
    assert record["domain"]["unjudged"] == 0.75
    assert json.loads((out / "good/predict.json").read_text())["domain"]["reasons"] == []
    again = CliRunner().invoke(command, [*arguments, "--strict"])
    assert again.exit_code == 1, again.output
    assert "0 cubes predicted, 3 up to date" in again.output
    assert "2 of 3 cubes unlike" in again.output


def test_strict_call_on_good_cubes_is_no_error(run, tmp_path):
    summary = predict_all(
        run, [saved(tmp_path / "good.npy", scene(5))], tmp_path / "out", strict=True
    )
    assert summary.exit_code == 0
    assert summary.unlike() == []


def without_record(run, folder):
    """The pipeline as an earlier version saved it."""
    pipeline = Pipeline.load(run / "pipeline.yaml")
    pipeline.graph().fitted_on.clear()
    pipeline.plugins = Plugins()
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


def test_a_pipeline_without_a_record_compares_nothing(run, tmp_path):
    old = without_record(run, tmp_path)
    path = saved(tmp_path / "half.npy", scene(5) / 2)
    arguments = [str(old), str(path), "--out", str(tmp_path / "out"), "--strict"]
    made = CliRunner().invoke(command, arguments)
    assert made.exit_code == 0, made.output
    assert f"note: {NOT_COMPARED}" in made.output
    assert json.loads((tmp_path / "out/half/predict.json").read_text())["domain"] is None
    assert Predictor(old).outputs_of(Predictor(old).open(path)).domain is None


def test_unjudged_pixels_have_a_value_of_their_own(run, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    cube = scene(5)
    cube[:2] = np.nan
    cube[5, 5] *= 3
    formats = ["npy", "envi", "geotiff", "png"]
    made = predict(run, saved(tmp_path / "x.npy", cube), tmp_path / "out", formats)
    assert made.unjudged == 40
    out = tmp_path / "out"
    expected = np.zeros((24, 20), np.uint8)
    expected[made.arrays["decisions"]] = 1
    expected[:2] = 255
    assert np.isnan(np.load(out / "scores.npy")).sum() == 40
    assert np.load(out / "decisions.npy").dtype == bool
    np.testing.assert_array_equal(np.load(out / "decisions_unjudged.npy"), expected == 255)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(out / "decisions.tif") as file:
            assert file.nodata == 255
            np.testing.assert_array_equal(file.read(1), expected)
    stored = np.fromfile(out / "decisions.img", np.uint8).reshape(24, 20)
    np.testing.assert_array_equal(stored, expected)
    assert "data ignore value = 255" in (out / "decisions.hdr").read_text()
    picture = np.asarray(Image.open(out / "decisions.png"))[::20, ::20]
    assert picture.shape == (24, 20, 3)
    assert (picture[:2] == 255).all()
    assert not (picture[2:] == 255).all(-1).any()


def test_invalid_pixels_are_unjudged_whatever_their_score(run, tmp_path):
    cube = scene(5)
    cube[3:6] = 1e4
    valid = np.ones((24, 20), bool)
    valid[3:6] = False
    np.savez(tmp_path / "x.npz", cube=cube, valid_mask=valid)
    made = predict(run, tmp_path / "x.npz", variable="cube")
    assert made.unjudged == 60
    assert np.isnan(made.arrays["scores"][3:6]).all()
    assert not made.arrays["decisions"][3:6].any()
    assert np.isfinite(made.arrays["scores"][6:]).all()


def test_unjudged_pixels_of_a_pipeline_without_scores(tmp_path):
    pipeline = Pipeline("valid", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"valid": "data.valid"}
    pipeline.graph(InMemory(predict=[{"cube": scene(1)[None]}]))
    cube = scene(5)
    cube[0, 0, 3] = np.nan
    made = predict(pipeline, saved(tmp_path / "x.npy", cube))
    assert made.unjudged == 1
