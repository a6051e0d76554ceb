"""``specloom predict`` where something is wrong: messages with the file's name, the exit code."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from specloom import ConfigError, DataError, Pipeline, Plugins, UnavailableError
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_predict import predict, predict_all
from specloom_predict.command import predict as command
from specloom_predict.domain import NOT_COMPARED

RNG = np.random.default_rng(8)
BANDS = 3
OUTPUTS = {"scores": "data.cube", "decisions": "data.valid"}


def saved(folder, *, normal=(0,), outputs=OUTPUTS, wavelengths=None):
    """A pipeline of a data node alone: its cube stands for scores, its pixels for decisions."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode(list(normal)), "data")
    pipeline.outputs = dict(outputs)
    pixels = np.zeros((1, 2, 2, BANDS), np.float32)
    pipeline.graph(InMemory(predict=[{"cube": pixels}]))
    if wavelengths is not None:
        pipeline.nodes["data"](torch.from_numpy(pixels), wavelengths=torch.tensor(wavelengths))
    folder.mkdir(exist_ok=True)
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


def errors(summary):
    return [str(error) for _, error in summary.failed]


def test_other_wavelengths_are_told_with_the_name_of_the_file(tmp_path):
    saved(tmp_path, wavelengths=[400.0, 450, 500])
    path = cube(tmp_path / "x.npz", wavelengths=[400.0, 450, 503])
    assert errors(predict_all(tmp_path, [path], tmp_path / "out")) == [
        f"{path}, {tmp_path}/pipeline.yaml:9: band 2 is at 503.00 nm, before at 500.00 nm (more "
        "than 0.5 nm apart)\n"
        "  fix: use data of the camera that the graph was fitted on, or resample it"
    ]


def invoked(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_the_summary_and_the_exit_code(tmp_path):
    saved(tmp_path)
    good, bad = cube(tmp_path / "good.npy"), tmp_path / "bad.npy"
    bad.write_bytes(b"")
    done = invoked(tmp_path, bad, good, "--out", tmp_path / "out", "--format", "png", "--json")
    assert done.exit_code == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("inputs: ")]
    assert lines[0] == f"note: {good}: scores.png shows its bands as red, green and blue"
    assert lines[1] == f"note: {NOT_COMPARED}"
    assert lines[2].startswith(f"error: {bad}")
    last = f"1 cube predicted, 0 up to date, 1 failed: {tmp_path}/out"
    assert done.stderr.splitlines()[-1] == last
    found = json.loads(done.stdout)
    assert found["done"][0]["files"] == ["decisions.png", "scores.png"]
    assert found["failed"][0]["exit_code"] == 2
    assert invoked(tmp_path, good, "--out", tmp_path / "out", "--format", "png").exit_code == 0


@pytest.mark.parametrize(
    ("more", "kind", "text"),
    [
        (
            {"formats": ["npy", "envy"]},
            ConfigError,
            "there is no format 'envy'\n  fix: did you mean 'envi'?",
        ),
        (
            {"formats": []},
            ConfigError,
            "no format is named\n  fix: use some of: npy, envi, geotiff, png, csv",
        ),
        (
            {"outputs": ["score"]},
            ConfigError,
            "the pipeline declares no output 'score'\n  fix: did you mean 'scores'?",
        ),
        (
            {"pipeline": "{}/none"},
            ConfigError,
            "there is no pipeline {}/none\n"
            "  fix: give the folder that a run wrote, or the pipeline.yaml in it",
        ),
        (
            {"pipeline": "{}/empty"},
            ConfigError,
            "{}/empty holds no pipeline.yaml\n"
            "  fix: give the folder that a run wrote, or the pipeline.yaml in it",
        ),
        (
            {"pipeline": "{}/stopped"},
            ConfigError,
            "{}/stopped holds no pipeline.yaml: the run in it was not completed\n"
            "  fix: specloom run --resume {}/stopped",
        ),
        (
            {"out": "{}/x.npy/out"},
            UnavailableError,
            "{}/x.npy/out cannot be written: a file of that name is there, not a folder\n"
            "  fix: choose another folder with --out",
        ),
    ],
)
def test_nothing_can_be_done(tmp_path, more, kind, text):
    saved(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped/run.json").write_text("{}")
    given = {"pipeline": tmp_path, "out": tmp_path / "out", "inputs": [cube(tmp_path / "x.npy")]}
    for name, value in more.items():
        given[name] = value.format(tmp_path) if isinstance(value, str) else value
    with pytest.raises(kind) as error:
        predict_all(**given)
    assert str(error.value) == text.replace("{}", str(tmp_path))


def test_a_pipeline_without_outputs(tmp_path):
    with pytest.raises(ConfigError) as error:
        predict(saved(tmp_path, outputs={}), cube(tmp_path / "x.npy"))
    assert str(error.value) == (
        "the pipeline declares no outputs\n"
        "  fix: add for example 'outputs: {scores: rx.scores}' to the run file, and run it again"
    )


def test_folders_and_patterns_that_hold_nothing(tmp_path):
    saved(tmp_path)
    (tmp_path / "empty").mkdir()
    found = predict_all(tmp_path, [tmp_path / "empty", f"{tmp_path}/*.hdr"], tmp_path / "out")
    fix = "fix: check the path; for folders within, write a pattern such as 'flights/**/*.hdr'"
    assert errors(found) == [
        f"{tmp_path}/empty holds no cube\n  {fix}",
        f"no cube is named like {tmp_path}/*.hdr\n  {fix}",
    ]
    assert found.exit_code == DataError.exit_code


def test_an_error_of_ours_stops_no_other_file_and_is_raised_at_the_end(tmp_path, monkeypatch):
    saved(tmp_path)
    paths = [cube(tmp_path / f"{name}.npy") for name in "ab"]
    from specloom_predict import cube_task

    made = cube_task.predict_cube

    def broken(predictor, one, *more):
        return 1 / 0 if one.path.name == "a.npy" else made(predictor, one, *more)

    monkeypatch.setattr(cube_task, "predict_cube", broken)
    found = invoked(tmp_path, *paths, "--out", tmp_path / "out")
    assert isinstance(found.exception, ZeroDivisionError)
    assert "1 cube predicted, 0 up to date, 1 failed" in found.stderr
    assert not (tmp_path / "out/a").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 5e8), ("1.5GiB", 1.5 * 2**30), ("7000", 7000), ("2 k", 2000)]
)
def test_sizes(text, size):
    from specloom_predict.command import Size

    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["much", "0GB", "-1MB", "3 parsecs", "9" * 400, "٣GB"])
def test_what_is_no_size(tmp_path, text):
    found = invoked(tmp_path, "x.npy", "--out", tmp_path, "--memory", text)
    assert found.exit_code == 2
    assert f"{text!r} is not a size; write for example 500MB or 2GB" in " ".join(
        found.output.split()
    )


@pytest.mark.parametrize("name", ["..npy", "...npy", "....npy"])
def test_results_of_cubes_that_are_named_with_dots_stay_within_out(tmp_path, name):
    saved(tmp_path / "run")
    cube(tmp_path / "in" / name)
    for given in (tmp_path / "in" / name, tmp_path / "in"):
        out = tmp_path / f"{given.name}-results" / "out"
        summary = predict_all(tmp_path / "run", [given], out)
        assert errors(summary) == []
        assert [one["folder"] for one in summary.done] == [str(out / name)]
        assert [one.name for one in out.parent.iterdir()] == ["out"]
        assert sorted(one.name for one in (out / name).iterdir()) == [
            "decisions.npy",
            "predict.json",
            "scores.npy",
        ]


def test_patterns_that_go_up_after_a_sign(tmp_path, monkeypatch):
    saved(tmp_path / "run")
    cube(tmp_path / "x.npy")
    (tmp_path / "in" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in")
    assert errors(predict_all(tmp_path / "run", ["a*/../../*.npy"], "out")) == [
        "the pattern a*/../../*.npy goes up with '..' after its first * or ? or [\n"
        "  fix: write '..' before it only, or give the files themselves"
    ]
    assert not [*tmp_path.rglob("predict.json")]
    summary = predict_all(tmp_path / "run", ["../*.npy"], "out")
    assert [one["folder"] for one in summary.done] == ["out/x"]
