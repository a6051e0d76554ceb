"""``specloom predict`` on made cubes: whose results lie where, what is skipped, what goes wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from specloom import Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.scene import Scene
from specloom_cubes.synthetic.camera import write_raw
from specloom_predict import Prediction, predict, predict_all

RNG = np.random.default_rng(8)
BANDS = 3
OUTPUTS = {"scores": "data.cube", "decisions": "data.valid"}


def saved(folder, *, normal=(0,), outputs=OUTPUTS):
    """A pipeline of a data node alone: its cube stands for scores, its pixels for decisions."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode(list(normal)), "data")
    pipeline.outputs = dict(outputs)
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, BANDS), np.float32)}]))
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


def cube(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.normal(size=(6, 5, BANDS)).astype(np.float32)
    if path.suffix == ".npz":
        np.savez(path, cube=pixels, **more)
    else:
        np.save(path, pixels)
    return path


def names(summary):
    return [one["folder"].partition("/out/")[2] for one in (*summary.done, *summary.skipped)]


def errors(summary):
    return [str(error) for _, error in summary.failed]


def test_one_scene_from_python(tmp_path):
    pipeline, path = Pipeline.load(saved(tmp_path) / "pipeline.yaml"), cube(tmp_path / "x.npy")
    made = predict(pipeline, path)
    assert isinstance(made, Prediction)
    np.testing.assert_array_equal(made.arrays["scores"], np.load(path))
    assert made.arrays["decisions"].shape == (6, 5)
    assert (made.files, made.notes) == ({}, ())
    made = predict(pipeline, path, tmp_path / "out", ["npy", "csv"], outputs=["decisions"])
    tables = ["decisions_objects.csv", "decisions_spectra.csv"]
    assert sorted(made.files) == ["decisions.npy", *tables]
    assert np.load(made.files["decisions.npy"]).all()
    assert {one.name for one in (tmp_path / "out").iterdir()} == {*made.files}


def test_inputs_of_one_name_do_not_share_a_folder(tmp_path):
    saved(tmp_path)
    paths = [cube(tmp_path / folder / "scene.npy") for folder in "ab"]
    first = predict_all(tmp_path, paths, tmp_path / "out")
    for one, path in zip(first.done, paths, strict=True):
        assert one["folder"].startswith(f"{tmp_path}/out/scene-")
        np.testing.assert_array_equal(np.load(f"{one['folder']}/scores.npy"), np.load(path))
    third = cube(tmp_path / "c/scene.npy")
    alone = predict_all(tmp_path, [third], tmp_path / "out")
    assert names(alone) == ["scene"]
    again = predict_all(tmp_path, [*paths[::-1], third], tmp_path / "out")
    assert (again.done, sorted(names(again))) == ([], sorted([*names(first), "scene"]))
    fourth = predict_all(tmp_path, [cube(tmp_path / "d/scene.npy")], tmp_path / "out")
    assert names(fourth)[0].startswith("scene-")


def test_names_within_a_folder_and_a_pattern(tmp_path):
    saved(tmp_path)
    for folder in ("f1", "f2", "f2/deep"):
        cube(tmp_path / f"flights/{folder}/scene.npy")
    np.save(tmp_path / "flights/f1/scene_gt.npy", np.zeros((6, 5), np.uint8))
    (tmp_path / "flights/f1/readme.txt").write_text("no cube")
    out = tmp_path / "flights/out"
    first = predict_all(tmp_path, [f"{tmp_path}/flights/*/*.npy"], out)
    assert names(first) == ["f1/scene", "f2/scene"]
    second = predict_all(tmp_path, [f"{tmp_path}/flights/f?"], out)
    assert (len(second.skipped), second.done) == (2, [])
    third = predict_all(tmp_path, [f"{tmp_path}/flights/**/*", tmp_path / "flights/f1"], out)
    assert (len(third.skipped), names(third)[0]) == (2, "f2/deep/scene")  # nothing from out itself


def test_what_is_complete_is_known_by_pipeline_input_and_files(tmp_path):
    saved(tmp_path)
    path, out = cube(tmp_path / "x.npy"), tmp_path / "out"

    def again(*formats, **more):
        found = predict_all(tmp_path, [path], out, formats or ["npy"], **more)
        return len(found.done), sorted(one.name for one in (out / "x").iterdir())

    arrays = ["decisions.npy", "predict.json", "scores.npy"]
    tables = ["decisions_objects.csv", "decisions_spectra.csv"]
    assert again() == (1, arrays)
    assert again() == (0, arrays)
    assert again("csv") == (1, sorted([*arrays, *tables]))  # arrays stay as they are
    assert again("npy", "csv") == (0, sorted([*arrays, *tables]))
    (out / "x/scores.npy").write_bytes(b"cut")
    assert again()[0] == 0  # the ledger and the record have not changed
    assert again(verify=True)[0] == 1
    assert again(verify=True)[0] == 0
    assert again(outputs=["scores"]) == (1, arrays[1:])  # what was asked then is gone
    cube(path)
    assert again() == (1, arrays)
    np.testing.assert_array_equal(np.load(out / "x/scores.npy"), np.load(path))
    again("csv")
    saved(tmp_path, normal=[0, 1])
    assert again() == (1, arrays)  # the table was another pipeline's
    (out / "x/predict.json").write_text("{")
    (out / "x/scores.npy").unlink()
    assert again() == (1, arrays)
    shutil.rmtree(out / "x")
    assert again() == (1, arrays)


def test_results_do_not_depend_on_the_cube_before(tmp_path):
    saved(tmp_path)
    grids = {"a": [400.0, 500, 600], "b": [450.0, 550, 650]}
    paths = [cube(tmp_path / f"{name}.npz", wavelengths=nm) for name, nm in grids.items()]
    assert errors(predict_all(tmp_path, paths, tmp_path / "out")) == []


def test_outputs_that_are_no_maps(tmp_path):
    saved(tmp_path, outputs={**OUTPUTS, "nm": "data.wavelengths", "truth": "data.mask"})
    grid = [400.0, 500, 600]
    made = predict(tmp_path, cube(tmp_path / "x.npz", wavelengths=grid), tmp_path / "out")
    assert np.load(made.files["nm.npy"]).tolist() == grid
    assert made.notes == ("output 'truth' has no value: the cube does not have it",)


def captured(folder):
    """Raw counts of a cube, with references that all cubes of the folder share."""
    folder.mkdir()
    for name, level in (("belt", 500), ("white", 3000), ("dark", 100)):
        counts = np.full((6, 5, BANDS), level, np.uint16)
        write_raw(folder / f"{name}.raw", counts, np.array([450.0, 550.0, 650.0]), tint=3.0)
    return folder


def fitted_on(source, folder):
    """A pipeline of a data node alone, that was fitted on a source."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = dict(OUTPUTS)
    pipeline.graph(source)
    folder.mkdir()
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


@pytest.mark.parametrize("named", [False, True])
def test_references_in_a_folder_are_left_out_where_cubes_are_calibrated(tmp_path, named):
    folder = captured(tmp_path / "capture")
    calibration = "capture"
    if named:  # by the data file, where the folder's cubes go by their headers
        files = {"white": "white.raw", "dark": "dark.raw"}
        calibration = {name: str(folder / file) for name, file in files.items()}
    source = Scene(str(folder / "belt.hdr"), calibration=calibration)
    run = fitted_on(source, tmp_path / "run")
    done = predict_all(run, [folder], tmp_path / "out")
    assert (names(done), errors(done)) == (["belt"], [])
    np.testing.assert_allclose(np.load(tmp_path / "out/belt/scores.npy"), 400 / 2900, rtol=1e-6)
    assert done.notes[-1] == (
        "2 white or dark references of captures (dark.hdr, white.hdr): excluded; name "
        "such a file to predict it"
    )
    inputs = [folder, folder / "white.hdr"]
    both = predict_all(run, inputs, tmp_path / "both", dry_run=True)
    assert [Path(one["input"]).name for one in both.planned] == ["belt.hdr", "white.hdr"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("changed", ["white", "dark"])
def test_results_are_made_again_where_a_reference_has_changed(tmp_path, named, changed):
    """References that are named lie in other folders here, with the name of the cube."""
    folder = captured(tmp_path / "capture")
    nm = np.array([450.0, 550.0, 650.0])
    files = {word: folder / f"{word}.raw" for word in ("white", "dark")}
    calibration = "capture"
    if named:
        for word, file in files.items():
            files[word] = tmp_path / word / "belt.raw"
            files[word].parent.mkdir()
            for ending in (".raw", ".hdr"):
                file.with_suffix(ending).rename(files[word].with_suffix(ending))
        calibration = {word: str(file.with_suffix(".hdr")) for word, file in files.items()}
    run = fitted_on(Scene(str(folder / "belt.hdr"), calibration=calibration), tmp_path / "run")
    out = tmp_path / "out"
    assert len(predict_all(run, [folder], out).done) == 1
    before = np.load(out / "belt/scores.npy")
    assert len(predict_all(run, [folder], out).skipped) == 1
    level = {"white": 4000, "dark": 200}[changed]
    write_raw(files[changed], np.full((6, 5, BANDS), level, np.uint16), nm, tint=3.0)
    assert len(predict_all(run, [folder], out).done) == 1
    assert (np.load(out / "belt/scores.npy") < before).all()
    write_raw(folder / "belt.raw", np.full((6, 5, BANDS), 700, np.uint16), nm, tint=3.0)
    assert len(predict_all(run, [folder], out).done) == 1


def test_a_pipeline_that_does_not_calibrate_says_that_it_predicts_references(tmp_path):
    folder = captured(tmp_path / "capture")
    run = fitted_on(Scene(str(folder / "belt.hdr")), tmp_path / "run")
    done = predict_all(run, [folder], tmp_path / "out")
    assert sorted(names(done)) == ["belt", "dark", "white"]
    assert done.notes[-1] == (
        "2 white or dark references of captures (dark.hdr, white.hdr): predicted "
        "like the others, as the pipeline calibrates no cube"
    )
    alone = predict_all(run, [folder / "dark.hdr"], tmp_path / "alone")
    assert (len(alone.done), alone.notes) == (1, done.notes[:-1])
