"""``specloom detect`` and ``detect(cube)``: what is decided without masks, and what is written."""

import builtins
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import specloom
from specloom import (
    ConfigError,
    DataError,
    NodeError,
    PortError,
    SpecloomWarning,
    UnavailableError,
)
from specloom_cubes import Synthetic, array_cube, open_cube
from specloom_detect import build_pipeline, detect, run_file
from specloom_detect.answer import CubeResult, answer
from specloom_detect.command import detect as command
from specloom_detect.detected_files import run_file_text
from specloom_predict import Predictor
from specloom_rx import LocalRX, RXGlobal, ScoreToLogit

RATE = 1e-3
METHODS = ("rx", "robust", "coreset")


def scene(seed, fraction):
    """A synthetic scene with its mask: 0 belt, 1 lentil, 2 foreign body, 3 stone."""
    source = Synthetic(
        scenes=1,
        height=100,
        width=100,
        bands=31,
        seed=seed,
        anomaly_fraction=fraction,
        clean_scenes=0.0,
        split=(1.0, 0.0, 0.0),
        batch_size=1,
    )
    (batch,) = source.batches("train")
    return batch["cube"][0], batch["mask"][0], source.wavelengths


@pytest.fixture(scope="module")
def scenes():
    return {
        "clean": [scene(seed, 0.0) for seed in (100, 101, 103)],
        "dirty": [scene(seed, 0.01) for seed in (100, 101, 103)],
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_rate_is_reached_on_clean_scenes_and_exceeded_on_others(scenes, method):
    clean = [detect(cube, method=method).decisions.mean() / RATE for cube, _, _ in scenes["clean"]]
    assert all(0.3 <= ratio <= 3 for ratio in clean), clean
    dirty = [detect(cube, method=method).decisions.mean() / RATE for cube, _, _ in scenes["dirty"]]
    assert np.mean(dirty) > 2 * np.mean(clean), (clean, dirty)


@pytest.fixture
def files(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECLOOM_NO_REPORT", "1")
    for number, (cube, mask, wavelengths) in enumerate(scenes["dirty"]):
        np.savez(f"scene{number}.npz", cube=cube[:, :70], wavelengths=wavelengths)
        np.save(f"mask{number}.npy", (mask[:, :70] > 1).astype(np.uint8))
    return tmp_path


def called(*arguments):
    done = CliRunner().invoke(command, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_command_answers_and_writes(files):
    done = called("scene0.npz", "--out", "out", "--save-run", "saved.yaml", "--device", "cpu")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "robust on scene0.npz: 31 bands, fitted on 6,860 pixels"
    found = detect("scene0.npz", device="cpu")
    assert lines[1] == found.lines()[0]
    assert lines[1].startswith(f"{len(found.table)} objects, ")
    assert lines[2:4] == found.lines()[1:]
    assert lines[-1] == "look at: out/summary.csv"
    assert {"pipeline.yaml", "pipeline.safetensors", "run.json", "metrics.json", "summary.csv"} <= {
        one.name for one in (files / "out").iterdir()
    }
    np.testing.assert_array_equal(np.load("out/scene0/scores.npy"), found.scores)
    np.testing.assert_array_equal(np.load("out/scene0/decisions.npy"), found.decisions)
    with Path("out/scene0/decisions_objects.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == len(found.table)
    calibration = json.loads((files / "out/run.json").read_text())["calibrations"][0]
    assert calibration["threshold"] == found.threshold
    assert calibration["expected_false_alarms"] == pytest.approx(7)
    assert calibration["chi_square"] == pytest.approx(found.calibration["chi_square"])
    again = Predictor(files / "out", device="cpu").predict(files / "scene0.npz")
    np.testing.assert_array_equal(again.scores, found.scores)


def test_the_saved_run_file_is_the_run(files):
    called("scene0.npz", "--out", "out", "--save-run", "saved.yaml", "--device", "cpu")
    run = specloom.load("saved.yaml", device="cpu")
    run.run()
    written = json.loads((files / "out/run.json").read_text())["calibrations"]
    assert run.record["calibrations"] == written


def test_a_mask_adds_the_evaluation_and_changes_no_decision(files):
    called("scene0.npz", "--out", "without", "--device", "cpu")
    done = called("scene0.npz", "--mask", "mask0.npy", "--out", "with", "--device", "cpu")
    assert "train, val and test are the same pixels" in done.stderr
    line = done.stdout.splitlines()[-2]
    assert line.startswith("by the mask: AUC 0.")
    without = np.load("without/scene0/decisions.npy")
    np.testing.assert_array_equal(np.load("with/scene0/decisions.npy"), without)


def test_several_cubes_are_fitted_together(files):
    with pytest.raises(DataError, match="not a cube"):  # the masks are among them
        called(".", "--out", "out")
    for number in range(3):
        (files / f"mask{number}.npy").rename(files / f"keep{number}.txt")
    done = called(".", "--out", "out", "--method", "coreset", "--device", "cpu")
    lines = done.stdout.splitlines()
    assert lines[0] == "coreset on 3 cubes: 31 bands, fitted on 21,000 pixels"
    assert " in 3 of 3 cubes, " in lines[1]
    with Path("out/summary.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["cube"] for row in rows] == ["scene0.npz", "scene1.npz", "scene2.npz"]
    thresholds = {json.loads((files / "out/run.json").read_text())["calibrations"][0]["threshold"]}
    assert len(thresholds) == 1


def valid_of(name):
    """A file in which the left ten columns of a scene do not count."""
    valid = np.full((100, 70), 255, np.uint8)
    valid[:, :10] = 0
    np.save(name, valid)
    return name


def test_files_of_valid_pixels(files):
    for number in (0, 1):
        valid_of(f"scene{number}_roi.npy")
    done = called("scene0.npz", "--valid", "scene0_roi.npy", "-o", "one", "--device", "cpu")
    assert "fitted on 5,880 pixels" in done.stdout  # 98 % of 100 x 60
    assert "decided" in done.stdout
    scores = np.load("one/scene0/scores.npy")
    assert np.isnan(scores[:, :10]).all()
    assert np.isfinite(scores[:, 10:]).all()
    names = ("scene0.npz", "scene1.npz")
    options = ("--valid", "*_roi.npy", "--device", "cpu", "--save-run", "saved.yaml")
    done = called(*names, *options, "-o", "two")
    assert "fitted on 11,760 pixels" in done.stdout
    assert np.isnan(np.load("two/scene1/scores.npy")[:, :10]).all()
    assert specloom.load("saved.yaml", device="cpu").graph.read_options["valid"] == "*_roi.npy"
    for arguments, message in {
        (*names, "--valid", "scene0_roi.npy"): "--valid scene0_roi.npy: it is one file, and there "
        "are 2 cubes\n  fix: write * for the name of a cube, as in '*_roi.png'",
        ("scene2.npz", "--valid", "*_roi.npy"): "scene2_roi.npy",
        ("scene0.npz", "--valid", "absent.png"): "absent.png",
    }.items():
        with pytest.raises(specloom.SpecloomError) as caught:
            called(*arguments, "-o", "bad", "--device", "cpu")
        assert message in str(caught.value)


def test_a_file_that_excludes_every_pixel(files):
    np.save("none.npy", np.zeros((100, 70), np.uint8))
    with pytest.raises(DataError) as caught:
        called("scene0.npz", "--valid", "none.npy", "-o", "none", "--device", "cpu")
    assert str(caught.value) == (
        "none.npy excludes every pixel: it is 0 everywhere\n"
        "  fix: check it: it is not 0 for the pixels that count"
    )


def test_pixels_that_could_not_be_assessed_are_counted(files):
    with np.load("scene0.npz") as held:
        cube = held["cube"].copy()
    cube[5:8, 5:9] = np.inf
    np.save("cut.npy", cube)
    done = called("cut.npy", "-o", "cut", "--device", "cpu")
    line = "12 of 7,000 pixels could not be assessed: no data, not finite, or not valid"
    assert done.stdout.splitlines()[2] == line
    assert line in detect("cut.npy", device="cpu").lines()


@pytest.mark.filterwarnings("default:.*false_alarm_rate:UserWarning")
def test_a_rate_below_one_pixel_is_warned_of(files, caplog):
    done = called("scene0.npz", "--false-alarm-rate", "1e-5", "-o", "rare", "--device", "cpu")
    assert "less than one false alarm is expected (1e-05 of all pixels)" in done.stdout
    assert (
        "false_alarm_rate 1e-05 of 7,000 pixels is 0.07 of a pixel: the threshold lies beyond the "
        "scores that it follows from\n  fix: set a higher rate, or use more pixels"
    ) in caplog.text


def test_arrays_that_are_no_cubes_as_they_are_passed_are_warned_of(scenes):
    cube = scenes["clean"][0][0]
    first = np.moveaxis(cube, -1, 0)
    with pytest.warns(SpecloomWarning) as warned:
        detect(first, device="cpu")
    assert str(warned[0].message) == (
        "the array is 31 x 100 x 100: 100 bands are assumed along its last axis, and may be 31 "
        "along its first\n  fix: if so, pass it as rows x columns x bands: "
        "numpy.moveaxis(cube, 0, -1)"
    )
    with pytest.warns(SpecloomWarning, match="states wavelengths of 0.4 to 0.9 nm"):
        detect(cube, wavelengths=np.linspace(0.4, 0.9, 31), device="cpu")
    with pytest.warns(SpecloomWarning, match="looks like a picture in colour"):
        detect((cube[..., :3] * 255).astype(np.uint8), device="cpu")


def test_what_was_assumed_of_files_is_printed(files):
    with np.load("scene0.npz") as held:
        cube = held["cube"]
    Path("scene.img").write_bytes(cube.transpose(2, 0, 1).astype("<f4").tobytes())
    fields = "samples = 70\nlines = 100\nbands = 31\ndata type = 4\ninterleave = bsq\n"
    Path("scene.hdr").write_text(f"ENVI\n{fields}")
    lines = called("scene.hdr", "-o", "assumed", "--device", "cpu").stdout.splitlines()
    what = "scene.hdr has no 'byte order': 0 is assumed; write it in the header"
    assert lines[1] == f"assumed: {what}"
    np.save("plain.npy", cube)  # states no axes, as no such file does
    assert "assumed" not in called("plain.npy", "-o", "plain", "--device", "cpu").stdout


def test_pixels_that_the_cubes_own_file_excludes(files):
    with np.load("scene0.npz") as held:
        arrays = dict(held)
    np.savez("own.npz", valid_mask=np.load(valid_of("own_roi.npy")), **arrays)
    done = called("own.npz", "-o", "own", "--device", "cpu")
    assert "fitted on 5,880 pixels" in done.stdout
    assert detect("own.npz", device="cpu").pipeline.graph().nodes["detector"].pixels == 5880


def test_masks_of_a_folder(files):
    (files / "masks").mkdir()
    for number in range(2):
        (files / f"mask{number}.npy").rename(files / f"masks/scene{number}_gt.npy")
    cubes = ["scene0.npz", "scene1.npz"]
    done = called(*cubes, "--mask", "masks", "--out", "out", "--device", "cpu")
    assert "by the mask: AUC" in done.stdout
    with pytest.raises(DataError) as caught:
        called(*cubes, "scene2.npz", "--mask", "masks", "--out", "more")
    assert str(caught.value) == (
        "--mask: masks holds no mask of scene2.npz\n"
        "  fix: call the mask as the cube, with _gt, _mask or _label after it or without"
    )


def test_mistakes_of_a_user(files):
    with pytest.raises(ConfigError) as caught:
        called("scene0.npz", "scene1.npz", "--mask", "mask0.npy")
    assert str(caught.value) == (
        "--mask: there are 2 cubes and 1 masks\n"
        "  fix: name one mask for each cube, in the order of the cubes, or the folder of all masks"
    )
    with pytest.raises(DataError, match=r"there is no nope\.npz"):
        called("nope.npz")
    (files / "out").mkdir()
    (files / "out/notes.txt").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        called("scene0.npz", "--out", "out")
    assert str(caught.value) == (
        "out is not empty: it holds notes.txt\n"
        "  fix: use another --out, or replace it with --overwrite"
    )
    assert called("scene0.npz", "--out", "out", "--overwrite").exit_code == 0
    assert (files / "out/notes.txt").read_text() == "mine"
    done = CliRunner().invoke(command, ["scene0.npz", "--false-alarm-rate", "0.5"])
    assert (done.exit_code, "0.08" in done.output) == (2, True)


def test_arrays_give_arrays_of_their_kind(scenes):
    cube, _, wavelengths = scenes["dirty"][0]
    found = detect(cube, wavelengths=wavelengths)
    assert repr(found) == f"Detection({found.lines()[0]})"
    assert found.expected_false_alarms == pytest.approx(10)
    tensors = detect(torch.from_numpy(cube))
    assert isinstance(tensors.scores, torch.Tensor)
    np.testing.assert_array_equal(tensors.scores.numpy(), found.scores)
    np.testing.assert_array_equal(found.decisions, found.scores >= np.float32(found.threshold))
    assert found.table.bands[0] == "430 nm"
    valid = np.ones(cube.shape[:2], bool)
    valid[:20] = False
    part = detect(cube, valid=valid)
    assert np.isnan(part.scores[:20]).all()
    assert part.calibration["pixels"] == 8000


def test_an_open_cube_and_an_xarray(files, scenes):
    found = detect(open_cube("scene0.npz"))
    np.testing.assert_array_equal(found.scores, detect("scene0.npz").scores)
    assert found.wavelengths[0] == 430
    xarray = pytest.importorskip("xarray")
    cube, _, wavelengths = scenes["dirty"][0]
    coords = {"wavelength": ("band", wavelengths, {"units": "nm"}), "x": np.arange(100.0)}
    array = xarray.DataArray(cube, dims=("y", "x", "band"), coords=coords)
    found = detect(array)
    assert found.decisions.dims == ("y", "x")
    assert found.wavelengths[-1] == 910


def brightness(cube):
    return cube.mean(-1)


@pytest.mark.parametrize("as_path", [True, False], ids=["file", "array"])
def test_a_function_of_ones_own_is_a_detector(files, as_path):
    with np.load("scene0.npz") as content:
        cube = content["cube"]
    found = detect("scene0.npz" if as_path else cube, method=brightness, out="own")
    np.testing.assert_array_equal(found.scores, brightness(cube))
    np.testing.assert_array_equal(found.decisions, found.scores >= np.float32(found.threshold))
    assert 0 < found.decisions.sum() < 0.02 * found.decisions.size
    np.testing.assert_array_equal(np.load("own/scores.npy"), found.scores)
    np.testing.assert_array_equal(np.load("own/decisions.npy"), found.decisions)
    names = {one.name for one in Path("own").iterdir()}
    assert {"pipeline.yaml", "run.json", "scores.png", "decisions_objects.csv"} <= names
    again = Predictor("own").predict(cube)
    np.testing.assert_array_equal(again.decisions, found.decisions)
    with pytest.raises(ConfigError, match="own is not empty"):
        detect(cube, method=brightness, out="own")
    assert detect(cube, method="rx", out="own", overwrite=True).scores.max() > 1


def test_the_folder_of_an_own_detector_has_a_report(files, monkeypatch):
    monkeypatch.delenv("SPECLOOM_NO_REPORT")
    found = detect("scene0.npz", method=brightness, out="own")
    page = Path("own/report.html").read_text("utf-8")
    assert f"{len(found.table)} objects" in page
    assert "scene0" in page
    assert "FunctionDetector" in page


def test_the_function_of_a_node_stays_its_own(scenes):
    cube = scenes["dirty"][0][0]
    first = detect(cube, method=lambda values: values[..., 3])
    second = detect(cube, method=lambda values: -values[..., 3])
    np.testing.assert_array_equal(first.scores, -second.scores)
    np.testing.assert_array_equal(first.pipeline.predict(cube).scores, cube[..., 3])


def test_a_node_is_a_detector(scenes):
    cube = scenes["dirty"][0][0]
    expected = detect(cube, method="rx")
    found = detect(cube, method=RXGlobal())
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.threshold == expected.threshold
    local = detect(torch.from_numpy(cube[:30, :30].copy()), method=LocalRX(inner=3, outer=9))
    assert local.scores.shape == (30, 30)
    assert isinstance(local.scores, torch.Tensor)


def constant(value):
    def function(cube):
        return value

    return function


WRONG_DETECTORS = {
    "class": (RXGlobal, "the method is the class RXGlobal", "pass a node of it: method=RXGlobal()"),
    "number": (
        3,
        "a detector of type int is no function",
        "pass a function from a cube (H, W, C) to scores (H, W)",
    ),
    "node without scores": (
        ScoreToLogit(),
        "ScoreToLogit has the outputs ['logits'] and no 'scores'",
        "pass a detector, a node with an output 'scores'",
    ),
    "name": ("robst", "there is no method 'robst'", "did you mean 'robust'?"),
    "error": (
        lambda cube: cube[100],
        "node 'detector' (FunctionDetector): <lambda> fails: IndexError: index 100 is out of "
        "bounds for axis 0 with size 100",
        "correct <lambda>: it gets an array (H, W, C) of shape (100, 100, 31)",
    ),
    "shape": (
        lambda cube: cube,
        "node 'detector' (FunctionDetector): <lambda> returns an array of shape (100, 100, 31)",
        "return one score for each pixel, an array of shape (100, 100)",
    ),
    "nothing": (
        constant(None),
        "node 'detector' (FunctionDetector): function returns an array of shape ()",
        "return one score for each pixel, an array of shape (100, 100)",
    ),
    "complex": (
        lambda cube: cube[..., 0].astype(complex),
        "node 'detector' (FunctionDetector): <lambda> returns values of type complex128",
        "return one score for each pixel, an array of shape (100, 100)",
    ),
}


@pytest.mark.parametrize("name", WRONG_DETECTORS)
def test_what_is_no_detector(scenes, name):
    method, what, fix = WRONG_DETECTORS[name]
    with pytest.raises((ConfigError, NodeError)) as caught:
        detect(scenes["dirty"][0][0], method=method)
    assert str(caught.value) == f"{what}\n  fix: {fix}"


def test_a_saved_pipeline_names_no_code(files):
    detect("scene0.npz", method=lambda cube: cube.mean(-1), out="own")
    with pytest.raises(ConfigError) as caught:
        Predictor("own")
    assert str(caught.value).partition(": ")[2] == (
        "node 'detector' (FunctionDetector): no function '<lambda>' is known in this process\n"
        "  fix: call specloom_detect.as_node(function) first, or make a plugin of it"
    )


def test_objects_are_a_table_of_pandas(scenes, monkeypatch):
    found = detect(scenes["dirty"][0][0])
    import_module = builtins.__import__

    def without_pandas(name, *more):
        if name == "pandas":
            raise ImportError(name)
        return import_module(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(UnavailableError) as caught:
        found.objects  # noqa: B018  # it is what raises
    assert str(caught.value) == (
        "a table of objects needs pandas, which is not installed\n"
        "  fix: run: pip install 'specloom-detect[pandas]', or use .table"
    )
    monkeypatch.undo()
    pytest.importorskip("pandas")
    table = found.objects
    assert len(table) == len(found.table)
    assert table["max_score"].is_monotonic_decreasing
    assert table.index.name == "label"


def test_a_plot_shows_cube_scores_and_histogram(scenes, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot as plt

    cube, _, wavelengths = scenes["dirty"][0]
    array_cube(cube)._repr_html_()  # which imports what draws the picture
    figure = detect(cube, wavelengths=wavelengths).plot()
    titles = [one.get_title() for one in figure.axes if one.get_title()]
    assert titles == ["false colour, with objects", "scores", "histogram of the scores"]
    plt.close(figure)


def test_mistakes_in_python(scenes):
    cube = scenes["clean"][0][0]
    with pytest.raises(ConfigError) as caught:
        detect(cube, method="rxx")
    assert str(caught.value) == "there is no method 'rxx'\n  fix: did you mean 'rx'?"
    with pytest.raises(DataError) as caught:
        detect(cube[:20, :20])
    assert str(caught.value) == (
        "400 pixels are too few for a threshold: the tail has 24, 50 are needed\n"
        "  fix: use larger cubes, or several at a time"
    )
    with pytest.raises(PortError, match="cube has the shape"):
        detect(cube[0])
    with pytest.raises(ConfigError) as caught:
        detect(np.stack([cube, cube]))
    assert str(caught.value) == (
        "there are 2 cubes, detect takes one\n"
        "  fix: pass each on its own, or their files to specloom detect"
    )


@pytest.mark.parametrize("rate", [0, 0.5, float("nan")])
def test_a_rate_that_is_none_below_the_tail(scenes, rate):
    with pytest.raises(ConfigError) as caught:
        detect(scenes["clean"][0][0], false_alarm_rate=rate)
    assert str(caught.value) == (
        f"false_alarm_rate is {rate}, the tail begins at 0.08\n"
        "  fix: set a rate over 0 and below the tail, such as 1e-3"
    )


def test_pixels_that_a_cube_excludes_are_excluded(scenes):
    values, _, wavelengths = scenes["dirty"][0]
    valid = np.ones(values.shape[:2], bool)
    valid[:30] = False
    cube = array_cube(values, wavelengths, valid)
    found = detect(cube)
    assert found.prediction.unjudged == 30 * values.shape[1]
    np.testing.assert_array_equal(found.scores, detect(values, valid=valid).scores)
    everywhere = detect(cube, valid=np.ones_like(valid))
    assert everywhere.prediction.unjudged == 0


def test_results_do_not_go_among_the_cubes(files):
    (files / "cubes").mkdir()
    (files / "scene0.npz").rename(files / "cubes/scene0.npz")
    with pytest.raises(ConfigError, match="results would lie among the inputs"):
        called("cubes", "--out", "cubes", "--overwrite")
    with pytest.raises(DataError) as caught:
        called("*/*.npz", "--out", "cubes", "--overwrite")
    assert str(caught.value) == (
        "*/*.npz holds no cube but the results in cubes\n  fix: name other cubes, or another --out"
    )


def test_the_folder_of_results_has_a_plain_name(files):
    assert called("scene[01].npz", "--format", "npy").exit_code == 0
    (folder,) = (files / "runs").iterdir()
    assert re.fullmatch(r"detect-scene_01-\d{8}-\d{6}-\d{6}", folder.name)


def test_the_run_file_and_the_pipeline_are_one_graph(tmp_path):
    values = run_file(["a.npy"])
    pipeline = build_pipeline()
    assert sorted(pipeline.nodes) == sorted(values["nodes"])
    pairs = [[one.source, one.target] for one in pipeline.connections]
    assert pairs == values["connections"]
    assert dict(pipeline.outputs) == values["outputs"]
    (tmp_path / "run.yaml").write_text(run_file_text(values))
    run = specloom.load(tmp_path / "run.yaml", device="cpu")
    assert run.document.value == values


def test_wrong_parameters_of_the_phase(tmp_path):
    values = run_file(["a.npy"])
    values["phases"][1]["config"] = {"decider": "decide", "split": "trian", "censored": 0.5}
    with pytest.raises(specloom.SpecloomError) as caught:
        specloom.load(values)
    assert str(caught.value).splitlines() == [
        "the run: the data has no split 'trian'",
        "  fix: did you mean 'train'?",
        "the run: there is no node 'decide' whose threshold can be set",
        "  fix: did you mean 'decider'?",
        "the run: censored is 0.5 and tail 0.08",
        "  fix: set shares with 0 < censored < tail < 1",
    ]
    values["phases"][1]["config"] = {"decider": "decider", "false_alarm_rate": 0.2}
    with pytest.raises(ConfigError) as caught:
        specloom.load(values)
    assert str(caught.value) == (
        "the run: false_alarm_rate is 0.2, the tail begins at 0.08\n"
        "  fix: set a rate over 0 and below the tail, such as 1e-3"
    )


def test_answers():
    assert answer([CubeResult("a", 0, 0, 0, 0.0, 0, 0)]) == "no pixel could be assessed"
    none = [CubeResult("a", 0, 0, 100, 3.0, 4, 5), CubeResult("b", 0, 0, 100, 9.0, 6, 7)]
    assert answer(none) == (
        "no object among 200 pixels of 2 cubes; highest score in b at row 6, column 7"
    )
